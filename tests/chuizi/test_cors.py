"""Programs in browsers may call the API from any page, and read what it answers; pages stay as they are."""

import pytest

ORIGIN = {"Origin": "https://app.example"}


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/credits", "/v1/keys/7", "/v1/nothing", "/v1//credits/", "/v1/models/a/b"]
)
def test_a_preflight_allows_the_asked_headers_without_a_key(gateway, path):
    asked = {
        **ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,x-stainless-os",
    }
    answer = gateway.client.options(path, headers={**asked, "Authorization": ""})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert answer.headers["x-request-id"]
    assert "access-control-allow-credentials" not in answer.headers


def exposed(answer) -> set[str]:
    assert answer.headers["access-control-allow-origin"] == "*"
    return {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}


def test_answers_and_refusals_can_be_read_by_a_browser(gateway):
    ours = {"x-request-id", "x-generation-id", "retry-after", "x-ratelimit-limit", "x-should-retry"}
    assert ours <= exposed(gateway.chat(headers=ORIGIN))
    assert ours <= exposed(gateway.chat(model="openai/none", headers=ORIGIN))
    assert ours <= exposed(gateway.client.get("/v1/credits", headers=ORIGIN))
    assert ours <= exposed(gateway.client.get("/v1/credits", headers={**ORIGIN, "Authorization": "Bearer no"}))
    assert ours <= exposed(gateway.client.get("/v1/nothing", headers=ORIGIN))
    assert ours <= exposed(gateway.client.get("/v1/credits", headers={**ORIGIN, "Host": "evil.example"}))
    with gateway.stream(headers=ORIGIN) as streamed:
        assert ours <= exposed(streamed)


def test_a_body_too_long_is_refused_readably(gateway, settings):
    settings.MAX_BODY_BYTES = 1000
    assert gateway.client.post("/v1/keys", content=b"x" * 5000).status_code == 413
    exposed(gateway.client.post("/v1/keys", content=b"x" * 5000))
    exposed(gateway.client.post("/v1/chat/completions", content=b"x" * 5000))


@pytest.mark.parametrize("path", ["/", "/models", "/accounts/login/", "/console/", "/api/schema/", "/metrics"])
def test_pages_are_read_by_their_own_scripts_alone(gateway, path):
    answer = gateway.client.get(path, headers=ORIGIN)
    assert "access-control-allow-origin" not in answer.headers
    asked = {**ORIGIN, "Access-Control-Request-Method": "GET"}
    assert "access-control-allow-origin" not in gateway.client.options(path, headers=asked).headers
