"""`/healthz`, `/readyz`, `/metrics`."""

import pytest


def test_health_and_readiness_answer(gateway):
    assert gateway.client.get("/healthz").text == "ok"
    ready = gateway.client.get("/readyz")
    assert (ready.status_code, ready.text) == (200, "ok")


def test_readiness_names_a_broker_that_does_not_answer(gateway, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    ready = gateway.client.get("/readyz")
    assert ready.status_code == 503
    assert "the broker" in ready.text


def test_metrics_show_requests_and_what_waits_for_settlement(gateway):
    gateway.chat()
    text = gateway.client.get("/metrics").text
    assert 'chuizi_requests_total{model="openai/m",status="200"}' in text
    assert "chuizi_generations_to_settle 1.0" in text
    assert "chuizi_gateways_alive 1.0" in text


def test_an_unknown_model_makes_no_label_of_its_own(gateway):
    gateway.chat(model="made-up-by-a-client")
    assert "made-up-by-a-client" not in gateway.client.get("/metrics").text


@pytest.mark.parametrize(("token", "status"), [("secret", 200), ("guess", 403), ("secrets", 403)])
def test_metrics_from_elsewhere_want_the_token(gateway, settings, token, status):
    settings.METRICS_TOKEN = "secret"
    headers = {"X-Forwarded-For": "198.51.100.1", "Authorization": f"Bearer {token}"}
    assert gateway.client.get("/metrics", headers=headers).status_code == status
