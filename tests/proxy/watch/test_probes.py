"""`/healthz`, `/readyz`, `/metrics`."""

import asyncio
import time

import httpx2 as httpx
import pytest

from proxy.watch import probes


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


def test_any_number_of_readiness_looks_share_one_a_second(gateway, monkeypatch):
    looks = []

    async def look() -> None:
        looks.append(1)
        await asyncio.sleep(0.2)

    monkeypatch.setattr(probes, "_database", look)
    time.sleep(probes.LOOK_SECONDS)  # what was found before this test is forgotten
    looks.clear()

    async def ask_many() -> list[int]:
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            answers = await asyncio.gather(*(client.get("/readyz") for _ in range(60)))
        return [answer.status_code for answer in answers]

    began = time.monotonic()
    assert asyncio.run(ask_many()) == [200] * 60
    assert len(looks) <= 1 + int(time.monotonic() - began)


def test_a_client_that_leaves_does_not_cut_the_look_of_the_others(gateway, monkeypatch):
    async def look() -> None:
        await asyncio.sleep(0.5)

    monkeypatch.setattr(probes, "_database", look)
    time.sleep(probes.LOOK_SECONDS)
    with pytest.raises(httpx.TimeoutException):
        gateway.client.get("/readyz", timeout=0.1)
    assert gateway.client.get("/readyz").status_code == 200


def test_any_bytes_may_stand_in_the_token_of_metrics(gateway, settings):
    settings.METRICS_TOKEN = "schlüssel"
    for token, status in ((b"schl\xc3\xbcssel", 200), (b"schlussel", 403), (b"\xff\xfe", 403)):
        headers = [(b"X-Forwarded-For", b"198.51.100.1"), (b"Authorization", b"Bearer " + token)]
        assert gateway.client.get("/metrics", headers=headers).status_code == status
