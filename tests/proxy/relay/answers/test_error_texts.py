"""What an upstream says is wrong reaches the caller in a sentence, with its code, without the operator's secrets."""

import time
from datetime import UTC, datetime

import orjson
import pytest

from proxy.prices.catalog import Destination
from proxy.relay import errors
from proxy.relay.cleaning import REMOVED, Secrets, cleaned

KEY = "sk-live-9f8e7d6c5b4a39281706"
HOST = "vllm-gpu-7.prod.example.com"
SECRETS = Secrets(KEY, f"http://{HOST}:8000/v1", "billing@example.com")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
THERE = Destination("m", 1, "main", "openai", f"http://{HOST}:8000/v1", KEY, "m", 1, 1)


def clean(text: str, own: bytes = b"") -> str:
    return cleaned(text, secrets=SECRETS, own=own)


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        KEY.upper(),
        "sk-live-9f8e...1706",
        "sk-li**************1706",
        "sk-****************",
        "gsk_8sYx3kQ0aZpL1vB7nM2cR5tW",
        "xoxb-123456789012-abcdefghijkl",
        "xai-AbCdEfGhIjKlMnOpQrStUv",
        "hf_AbCdEfGhIjKlMnOpQrStUvWx",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "Bearer abc123def456ghi7",
        "0123456789abcdef0123456789abcdef",
        "org-abcdef123456",
        "acct_1Mz9QkLkdIwHu7ix",
        HOST,
        f"{HOST}:8000",
        f"http://{HOST}:8000/v1/chat",
        "vllm-gpu-7:8000",
        "localhost:9000",
        "10.12.0.4",
        "10.12.0.4:8000",
        "2001:db8::8a2e:370:7334",
        "[fe80::1]:8000",
        "::1",
        "api.internal",
        "vllm-gpu-7",
        "vllm-gpu-7.prod",
        f"http%3A%2F%2F{HOST}%3A8000",
        "sk%2Dlive%2D9f8e7d6c5b4a39281706",
        "sk\\u002dlive\\u002d9f8e7d6c5b4a39281706",
        "sk-live-\u200b9f8e7d6c5b4a39281706",
        "9f8e7d6c5b4a",
        "glsa_abcdef0123456789",
        "9a8b7c6d5e4f3a2b",
        "postgres://u:pw@db:5432/x",
        "redis://:secret@cache:6379/0",
        "wss://inner/x",
        "::ffff:10.0.0.1",
        "010.0.0.1",
        "ip-10-0-0-1",
        "jane.doe@gmail.com",
        "arn:aws:bedrock:us-east-1:123456789012:model",
        "gateway.prod.svc.cluster.local",
        "billing@example.com",
    ],
)
def test_what_is_the_operators_is_taken_out(secret):
    assert clean(f"It failed at {secret} , try again") == f"It failed at {REMOVED} , try again"
    assert clean(secret) in (REMOVED, f"[{REMOVED}")


@pytest.mark.parametrize(
    "text",
    [
        "user_lookup_by_email has no parameters",
        "team_report: unknown field key_findings",
        "This model's maximum context length is 8192 tokens. You requested 9000 tokens (1000 in the messages).",
        "Invalid value at 12:30, ratio 3:14, std::vector<int>",
        "messages.0.content: field required",
        "gpt-4.1-nano does not support temperature=2.0; use 1.0 e.g. at most 1",
        "claude-sonnet-4-5-20250929 is overloaded",
        "Expected object, got array ... see the request",
        "invalid_function_parameters: 'get_current_weather_for_location' is not valid",
        "Monday 2026-11-29T05:00:00Z, a::b, SomeVeryLongCamelCaseClassNameException",
        "Llama-4-Maverick-17B-128E-Instruct-FP8 and text-bison@20240620 take no tools",
        "max_tokens:4096 is more than tokens:2048; api_key: field required; Your organization must be verified",
        "模型的上下文长度不能超过 8192 个 token。",
    ],
)
def test_what_is_nobodys_secret_stays(text):
    assert clean(text) == text


def test_what_the_caller_wrote_stays_even_if_it_looks_like_a_secret():
    own = b'{"tools":[{"function":{"name":"team_report_2026"}}],"url":"https://db-7.corp:9000/x?k=org-abcdef123456"}'
    text = "team_report_2026 cannot read https://db-7.corp:9000/x?k=org-abcdef123456"
    assert clean(text, own) == text
    assert REMOVED in clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "api-key: 7f3d9a",
        "x-api-key=abcd1234",
        "api_key 'abcd1234'",
        "Authorization: Bearer foo",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        "Organization acme-corp",
        "project 123456789012",
        "host qwen:8000",
    ],
)
def test_what_a_word_before_it_says_to_be_the_operators_is_taken_out(text):
    label, _, value = text.replace("'", "").rpartition(" ") if " " in text else text.rpartition("=")
    assert value not in clean(f"It failed: {text} ")
    assert label.split()[0] in clean(f"It failed: {text} ")
    assert clean(text, text.encode()) == text


def test_a_name_and_a_password_in_the_upstreams_address_are_taken_out():
    secrets = Secrets("abc/def+ghi=jkl", "http://someone:hunter22@gpubox:8000/v1")
    for text in ("hunter22", "gpubox", "gpubox:8000", "abc%2Fdef%2Bghi%3Djkl", "abc\\/def+ghi=jkl"):
        assert cleaned(f"no {text} here", secrets=secrets) == f"no {REMOVED} here"


@pytest.mark.parametrize("host", ["gpu-7", "g7", "gpu-7.prod.example.com", "g7.internal", "GPU-7.a", "web-0.web"])
def test_a_short_name_of_the_upstreams_host_goes_as_a_word_of_its_own(host):
    secrets = Secrets(KEY, f"http://{host}:8000/v1")
    name = host.partition(".")[0].lower()
    for text in (name, f"'{name}'", f"({name.upper()})", f"{name}:8000", f"{name}."):
        assert name not in cleaned(f"Worker {text} failed", secrets=secrets).lower()
    kept = f"x{name} /{name}/ {name}-large"
    assert cleaned(kept, secrets=secrets) == kept
    assert cleaned(f"no tool {name}", secrets=secrets, own=b'{"name":"%b"}' % name.encode()) == f"no tool {name}"


@pytest.mark.parametrize("own", [b"https:\\/\\/x.example.com\\/caf\\u00e9", "https://x.example.com/café".encode()])
def test_what_the_caller_wrote_is_found_however_its_program_writes_json(own):
    text = "cannot download (https://x.example.com/café): 404"
    assert clean(text, b'{"url":"' + own + b'"}') == text


def test_the_key_in_use_goes_even_where_the_caller_wrote_it():
    assert KEY not in clean(f"no {KEY}", KEY.encode())


@pytest.mark.parametrize("key", [KEY, "onlywordsinthiskey"])
@pytest.mark.parametrize("size", [2, 6, 9])
@pytest.mark.parametrize("between", ["\n", "\r\n  ", "\\n", " "])
def test_a_key_that_is_broken_over_lines_is_one(key, size, between):
    broken = between.join(key[at : at + size] for at in range(0, len(key), size))
    assert cleaned(f"no {broken} here", secrets=Secrets(key)) == f"no {REMOVED} here"


@pytest.mark.parametrize("spelt", ["&#{};", "&#x{:x};", "&#X{:X};"])
def test_a_key_spelt_as_on_a_page_is_one(spelt):
    assert clean("no " + "".join(spelt.format(ord(letter)) for letter in KEY)) == f"no {REMOVED}"


@pytest.mark.parametrize(
    "text",
    ["HTTPConnectionPool(host='vllm-a', port=8000): refused", 'host="vllm-a",port: 80', "to worker-vllm-a port 8000"],
)
def test_a_host_goes_however_its_port_is_named(text):
    assert "vllm-a" not in clean(f"It failed: {text}")


def test_half_a_key_at_the_cut_goes_too():
    text = clean("x " * 244 + "key " + KEY)
    assert len(text) <= 500
    assert "sk-live" not in text


@pytest.mark.parametrize("text", ["a." * 32000, "1." * 32000, "a:" * 32000, "::" * 32000, "-" * 64000, "sk-" * 21000])
def test_any_text_is_cleaned_within_a_moment(text):
    began = time.process_time()
    clean(text, b"x" * 1_000_000)
    assert time.process_time() - began < 0.2


def fault(body: object, status: int = 400, own: bytes = b"") -> errors.Refusal:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return errors.callers_fault(status, raw, destination=THERE, own=own)


SHAPES = {
    "OpenAI's": {"error": {"message": "Too long", "type": "invalid_request_error", "code": "context_length_exceeded"}},
    "vLLM's": {"object": "error", "message": "Too long", "type": "BadRequestError", "code": 400},
    "Google's list": [{"error": {"code": 400, "message": "Too long", "status": "INVALID_ARGUMENT"}}],
    "FastAPI's text": {"detail": "Too long"},
    "FastAPI's list": {"detail": [{"loc": ["body", "messages", 0], "msg": "Too long", "type": "value_error"}]},
    "Anthropic's": {"type": "error", "error": {"type": "invalid_request_error", "message": "Too long"}},
    "Azure's": {"error": {"code": "content_filter", "message": "Too long", "innererror": {"code": "Responsible"}}},
    "a text for the error": {"error": "Too long"},
    "an error in an error": {"error": {"error": {"message": "Too long"}}},
    "MiniMax's": {"base_resp": {"status_code": 1004, "status_msg": "Too long"}},
    "code and message": {"code": "InvalidParameter", "message": "Too long"},
    "OpenRouter's": {"error": {"message": "Too long", "code": 400, "metadata": {"provider_name": "x"}}},
    "errors": {"errors": [{"message": "Too long"}]},
    "OpenRouter's own words beside the provider's": {
        "error": {"message": "Provider returned error", "metadata": {"raw": '{"error": {"message": "Too long"}}'}}
    },
    "JSON in the message": {"error": {"message": ' {"error": {"message": "Too long"}}'}},
    "a list in the message": {"message": ["Too long"], "error": "Bad Request", "statusCode": 400},
    "an object in the message": {"message": {"detail": [{"loc": ["body"], "msg": "Too long"}]}},
    "an object in the detail": {"detail": {"error": {"message": "Too long"}}},
    "a word of its own beside an error": {"message": "Bad Request", "error": {"message": "Too long"}},
    "AWS's": {"Message": "Too long", "__type": "ValidationException"},
    "Apigee's": {"fault": {"faultstring": "Too long"}},
    "events": b'data: {"error": {"message": "Too long"}}\n\ndata: [DONE]\n\n',
    "an event named so": b'event: error\ndata: {"message": "Too long"}\n\n',
    "plain text": b"Too long\n",
    "a BOM": b'\xef\xbb\xbf{"error": {"message": "Too long"}}',
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_sentence_is_found_in_each_shape(name):
    said = fault(SHAPES[name])
    assert said.message in ("Too long", "body.messages.0: Too long", "body: Too long")
    assert said.status == 400


@pytest.mark.parametrize(
    "body", [b"<html><body>Bad</body></html>", b'{"error": {"mess', b"", b"{}", b"[]", b"[[[[", b"1"]
)
def test_a_page_or_half_a_json_is_not_shown(body):
    assert fault(body).message in (errors.REFUSED, "1")


@pytest.mark.parametrize("code", ["context_length_exceeded", "content_filter", "invalid_function_parameters"])
def test_a_code_that_clients_act_upon_passes(code):
    for body in (
        {"error": {"message": "m", "code": code}},
        {"error": {"message": "m", "type": code, "code": None}},
        {"code": code, "message": "m"},
        [{"error": {"message": "m", "code": code}}],
        {"error": {"message": "m", "metadata": {"raw": f'{{"error": {{"code": "{code}"}}}}'}}},
    ):
        assert fault(body).code == code


@pytest.mark.parametrize(
    "sentence",
    [
        "This model's maximum context length is 8192 tokens, however you requested 9000 tokens",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Please reduce the length of the messages.",
        "the request exceeds the available context size. try increasing the context size",
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Input is too long for requested model.",
        "Invalid request: Your request exceeded model token limit: 8192",
    ],
)
def test_a_prompt_that_is_too_long_has_its_code_whoever_says_so(sentence):
    assert fault({"object": "error", "message": sentence, "code": 400}).code == "context_length_exceeded"


@pytest.mark.parametrize(
    "code", ["org_abc123_blocked", "quota-of-acct_1Mz9", "invalid_api_key", "x" * 5000, 7, None, []]
)
def test_any_other_code_stays_with_us(code):
    assert fault({"error": {"message": "m", "code": code}}).code == "validation_error"


def test_the_field_is_cleaned_too():
    said = fault({"error": {"message": "m", "param": f"messages[0] at {HOST}:8000 with {KEY}"}})
    assert KEY not in str(said.param)
    assert HOST not in str(said.param)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("1.2", 2),
        ("99999", 3600),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 1),
        ("Monday, 23-Nov-26 12:01:00 GMT", 60),
        ("soon", 5),
        ("", 5),
        ("-3", 5),
        ("1e9", 5),
        ("9" * 5000, 5),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", 5),
    ],
)
def test_the_time_to_wait_is_read_as_a_number_or_a_date_within_reason(told, seconds):
    assert errors.seconds_of(told, now=NOW) == seconds
