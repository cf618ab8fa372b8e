"""An upstream's refusals over the wire: what is passed on, what stays with the operator, and what the log says."""

import asyncio
import gzip
import json
import logging

import pytest
from aiohttp import web

from proxy.prices.loading import load_catalog
from tests.proxy.conftest import Gateway, catalog, wait_for
from tests.spoken import each_protocol

KEY = "sk-first-upstream-key"
FAULT = {"error": {"message": f"Incorrect API key {KEY} at vllm-gpu-7:8000", "code": "context_length_exceeded"}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "told"), [(429, "11"), (503, "11"), (529, "11"), (503, "Mon, 23 Nov 2099 12:00:00 GMT")]
)
def test_the_time_to_wait_is_passed_on(gateway: Gateway, upstream, status, told, stream):
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "busy"}}, status=status, headers={"Retry-After": told})

    upstream.handler = refuse
    answer = gateway.chat(stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_unavailable")
    assert answer.headers["retry-after"] == ("11" if told == "11" else "3600")
    wait_for("released")


@pytest.mark.parametrize("status", [401, 402, 403, 406, 411, 415, 421, 431])
def test_a_refusal_of_our_key_is_the_operators_and_the_log_has_its_status_alone(gateway, upstream, status, caplog):
    upstream.status, upstream.json = status, FAULT
    with caplog.at_level(logging.DEBUG):
        answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    told = [record.getMessage() for record in caplog.records if record.name.startswith("proxy")]
    assert any(f"upstream first answers {status}" in text for text in told)
    for text in (*told, answer.text):
        assert KEY not in text
        assert "vllm-gpu-7" not in text


@each_protocol
@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize("words", [{"detail": "Not Found"}, {"error": {"message": f"Invalid URL (POST /v1/x) {KEY}"}}])
def test_a_path_that_an_upstream_has_not_is_told_as_such_and_not_asked_for_again(
    gateway, upstream, spoken, status, words
):
    upstream.status, upstream.json = status, words
    answer = gateway.chat()
    assert (answer.status_code, answer.headers["x-should-retry"]) == (404, "false")
    assert "openai/m is not served at this path" in answer.text
    assert KEY not in answer.text
    assert wait_for("released").cost in (None, 0)


def test_a_model_that_an_upstream_has_not_is_the_operators(gateway, upstream):
    upstream.status, upstream.json = 404, {"error": {"message": "The model `m-at-upstream` does not exist"}}
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")


@pytest.mark.parametrize("statuses", [(404, 500), (500, 404)])
def test_of_several_upstreams_the_one_that_may_come_again_has_the_word(gateway, upstream, second_upstream, statuses):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    for one, status in zip((upstream, second_upstream), statuses, strict=True):
        one.status, one.json = status, {"detail": "no"}
    assert gateway.chat().status_code == 502


def test_a_fault_of_the_request_has_its_code_and_no_secrets(gateway, upstream):
    upstream.status, upstream.json = 400, FAULT
    error = gateway.chat().json()["error"]
    assert (error["code"], error["type"]) == ("context_length_exceeded", "invalid_request_error")
    assert error["message"] == "Incorrect API key [removed] at [removed]"


def test_names_that_the_caller_wrote_are_not_taken_out(gateway, upstream):
    tool = {"type": "function", "function": {"name": "user_lookup_2", "parameters": {}}}
    upstream.status = 400
    upstream.json = {"error": {"message": "user_lookup_2: bad schema", "code": "invalid_function_parameters"}}
    error = gateway.chat(tools=[tool]).json()["error"]
    assert (error["message"], error["code"]) == ("user_lookup_2: bad schema", "invalid_function_parameters")


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_known_fault_of_the_caller_is_one_even_where_it_comes_as_a_failure(gateway, upstream, status):
    upstream.status, upstream.json = status, FAULT
    for _ in range(4):  # more than begin a cool-down
        answer = gateway.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
    upstream.json = {"error": {"message": "The content filter failed.", "code": "server_error"}}
    assert gateway.chat().status_code in (502, 503)


PIECES = {
    "in pieces": lambda body: ([body[:30], body[30:]], ""),
    "compressed": lambda body: ([gzip.compress(body)], "gzip"),
    "compressed and not labelled": lambda body: ([gzip.compress(body)], ""),
    "behind what was sent": lambda body: ([b'{"input":"%b",' % (b"x" * 100_000), body[1:]], ""),
}


@pytest.mark.parametrize("name", PIECES)
def test_an_error_is_read_to_its_end_however_it_comes(gateway, upstream, name):
    pieces, encoding = PIECES[name](json.dumps(FAULT).encode())

    async def refuse(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400, headers={"Content-Encoding": encoding} if encoding else {})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    upstream.handler = refuse
    assert gateway.chat().json()["error"]["code"] == "context_length_exceeded"


def test_what_does_not_unpack_is_not_shown(gateway, upstream):
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=400, body=b"\x28\xb5\x2f\xfd\xff\xfe" * 9)

    upstream.handler = refuse
    assert gateway.chat().json()["error"]["message"] == "The model's provider refused the request."
