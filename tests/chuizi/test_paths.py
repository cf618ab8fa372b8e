"""Paths: slashes too many, one model by its id, and nothing but JSON below /v1."""

import json

import pytest

CHAT = json.dumps({"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}).encode()


@pytest.mark.parametrize(
    "path", ["/v1//chat/completions", "//v1/chat/completions", "/v1/chat/completions/", "///v1/chat//completions//"]
)
def test_slashes_too_many_before_the_gateway_are_forgiven(send_bytes, path):
    status, answer = send_bytes(f"POST {path} HTTP/1.1\nContent-Type: application/json\n", CHAT)
    assert (status, '"chat.completion"' in answer) == (200, True)


@pytest.mark.parametrize("path", ["/v1/credits/", "/v1//credits", "//v1/credits", "/v1/credits//"])
def test_slashes_too_many_before_the_account_are_forgiven(send_bytes, path):
    status, answer = send_bytes(f"GET {path} HTTP/1.1\n")
    assert (status, '"balance"' in answer) == (200, True)


@pytest.mark.parametrize("path", ["//console/", "/console//keys", "//"])
def test_pages_are_found_at_their_own_address_alone(gateway, send_bytes, path):
    assert send_bytes(f"GET {path} HTTP/1.1\n")[0] == 404


@pytest.mark.parametrize("name", ["openai/m", "openai%2Fm", "openai%2fm", "m", "openai/m/"])
def test_one_model_is_found_by_its_id(gateway, name):
    found = gateway.client.get(f"/v1/models/{name}")
    assert (found.status_code, found.json()["id"], found.json()["object"]) == (200, "openai/m", "model")


@pytest.mark.parametrize("name", ["openai/other", "o", "x" * 5000, "a%00b", "%F0%9F"])
def test_a_model_that_there_is_not_is_not_found_in_json(gateway, name):
    found = gateway.client.get(f"/v1/models/{name}")
    assert found.status_code == 404
    assert found.json()["error"]["code"] in ("model_not_found", "not_found")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/v1/nothing", {}, 404, "not_found"),
        ("GET", "/v1", {}, 404, "not_found"),
        ("GET", "/v1/", {}, 404, "not_found"),
        ("POST", "/v1beta/models/x", {}, 405, 405),
        ("GET", "/v1beta/nothing", {}, 404, "not_found"),
        ("GET", "/anthropic/v1/nothing", {}, 404, "not_found"),
        ("GET", "/v1/chat/completions", {}, 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions/", {}, 405, "method_not_allowed"),
        ("DELETE", "/v1/credits", {}, 405, "method_not_allowed"),
        ("GET", "/v1/credits", {"Host": "evil.example"}, 400, "validation_error"),
        ("GET", "/v1/credits", {"Host": "a b"}, 400, "validation_error"),
        ("GET", "/v1/nothing", {"Host": "evil.example"}, 400, "validation_error"),
        ("GET", "/v1/topups/a%00b", {}, 404, "not_found"),
        ("GET", "/v1/transactions?cursor=%00", {}, 400, "validation_error"),
        ("GET", "/v1/credits", {"Cookie": 'sessionid="abcdefgh\\000"'}, 400, "validation_error"),
        ("TRACE", "/v1/credits", {}, 405, "method_not_allowed"),
        ("POST", "/v1/keys", {"Content-Type": "text/plain"}, 400, "validation_error"),
        ("POST", "/v1/keys", {"Content-Type": "multipart/form-data"}, 400, "validation_error"),
    ],
)
def test_every_refusal_below_v1_is_json(gateway, method, path, headers, status, code):
    body = "x" if method == "POST" else None
    answer = gateway.client.request(method, path, headers=headers, content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert (answer.json()["error"]["code"], bool(answer.json()["error"]["message"])) == (code, True)
    assert answer.headers["x-request-id"].startswith("req-")


def test_a_failure_of_ours_is_json_too(gateway, monkeypatch):
    monkeypatch.setattr("api.balance.CreditsView.get", lambda *args: 1 / 0)
    answer = gateway.client.get("/v1/credits")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert answer.json()["error"]["type"] == "api_error"


@pytest.mark.parametrize(
    ("path", "status"), [("/?q=%00", 200), ("/models?x=a%00", 400), ("/accounts/login/?next=%00", 400), ("/a%00b", 404)]
)
def test_a_nul_in_an_address_is_refused_or_found_nowhere(gateway, path, status):
    assert gateway.client.get(path).status_code == status


@pytest.mark.parametrize("path", ["/", "/console/", "/accounts/login/"])
def test_a_nul_in_a_cookie_is_refused(gateway, path):
    answer = gateway.client.get(path, headers={"Cookie": 'sessionid="abcdefgh\\000"'})
    assert answer.status_code == 400


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br", "deflate", "GZIP, identity"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/keys", "/v1/topups"])
def test_a_compressed_body_is_refused_and_told_so(gateway, path, encoding):
    answer = gateway.client.post(path, content=b"\x1f\x8b\x08\x00", headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert f"Content-Encoding: {encoding}" in answer.json()["error"]["message"]


def test_a_body_that_says_it_is_as_it_was_written_is_read(gateway):
    assert gateway.chat(headers={"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/credits", "/v1/nothing"])
def test_a_client_is_told_not_to_repeat_what_stays_refused(gateway, path):
    headers = {"Authorization": "Bearer ck-wrong"}
    answer = gateway.client.post(path, json={}, headers=headers)
    assert answer.status_code in (401, 404, 405)
    assert answer.headers.get("x-should-retry") == (None if answer.status_code == 405 else "false")
    assert "x-should-retry" not in gateway.chat().headers


def test_account_answers_are_kept_by_no_cache(gateway):
    assert gateway.client.get("/v1/credits").headers["cache-control"] == "no-store"
    assert gateway.client.get("/v1/models").headers["cache-control"] == "no-store"
    assert gateway.client.get("/v1/nothing").headers["cache-control"] == "no-store"
