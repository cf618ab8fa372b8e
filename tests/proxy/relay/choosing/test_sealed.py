"""What one account sealed goes to that account first, and to the others where it cannot be opened there."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from billing.models import Hold
from proxy.errors import Refusal
from proxy.models import Generation, Upstream
from proxy.prices.loading import load_catalog
from proxy.relay.choosing.sealed import Unopened, at_home_first, judged
from tests.proxy.conftest import Gateway, catalog, wait_for
from tests.proxy.metrics_text import metric
from tests.proxy.relay.choosing.test_cooldown import destination
from tests.spoken import CHAT, GENERATE, MESSAGES, RESPONSES, Spoken
from tests.upstream import FakeUpstream

THINKING = {"type": "thinking", "thinking": "hm", "signature": "EqMB0fromthere"}
BODIES: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hm", "reasoning_details": [{"type": "text", "signature": "EqMB0"}]},
            {"role": "user", "content": "go on"},
        ]
    },
    "messages": {
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [THINKING, {"type": "text", "text": "hm"}]},
            {"role": "user", "content": "go on"},
        ]
    },
    "responses": {
        "input": [
            {"type": "message", "role": "user", "content": "hello"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAfromthere"},
            {"type": "message", "role": "user", "content": "go on"},
        ],
        "store": False,
    },
    "generate": {
        "contents": [
            {"role": "user", "parts": [{"text": "hello"}]},
            {"role": "model", "parts": [{"text": "hm", "thoughtSignature": "Cg0B0fromthere"}]},
            {"role": "user", "parts": [{"text": "go on"}]},
        ]
    },
}
REFUSALS: dict[str, dict[str, Any]] = {
    "chat": {
        "error": {
            "message": "The encrypted content gAAA...ng== could not be verified. Reason: it could not be decrypted.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_encrypted_content",
        }
    },
    "responses": {
        "error": {
            "message": "The encrypted content for item rs_1 could not be verified.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_encrypted_content",
        }
    },
    "messages": {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "messages.1.content.0: Invalid `signature` in `thinking` block",
        },
    },
    "generate": {"error": {"code": 400, "message": "Thought signature is not valid.", "status": "INVALID_ARGUMENT"}},
}
WORDS = {
    "chat": "could not be verified",
    "responses": "could not be verified",
    "messages": "Invalid `signature`",
    "generate": "signature is not valid",
}
each_sealing = pytest.mark.parametrize("spoken", [CHAT, RESPONSES, MESSAGES, GENERATE], ids=str)

of_messages = pytest.mark.parametrize("spoken", [MESSAGES], ids=str)


@pytest.mark.parametrize(
    "message",
    [
        "The encrypted content for item rs_0123 could not be verified.",
        "The encrypted content gAAA...DQ== could not be verified. Reason: Encrypted content could not be parsed.",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.23.content.2: Invalid `data` in `redacted_thinking` block",
        "Invalid signature in thinking block",
        "Unable to submit request because Thought signature is not valid.",
        "Corrupted thought signature.",
        "Invalid thought signature.",
    ],
)
def test_the_words_of_providers_are_known(message):
    assert isinstance(judged(Refusal(400, "validation_error", message)), Unopened)
    told = judged(Refusal(502, "provider_error", message))
    assert (told.status, told.code, told.is_final, told.is_failure) == (400, "validation_error", False, False)


@pytest.mark.parametrize(
    "message",
    [
        "Function call is missing a thought_signature in functionCall parts.",
        "messages.1.content.0.thinking.signature: Field required",
        "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
        "max_tokens must be greater than thinking.budget_tokens",
        "The image could not be decrypted",
    ],
)
def test_what_no_account_would_take_is_final(message):
    refusal = Refusal(400, "validation_error", message)
    assert judged(refusal) is refusal


def test_upstreams_of_the_first_ones_account_go_before_the_others():
    places = [replace(destination(name), account=account) for name, account in ("ax", "by", "cx", "dz")]
    assert [one.upstream for one in at_home_first(places, b'"signature":"s"')] == ["a", "c", "b", "d"]
    assert at_home_first(places, b'"text":"of a \\"signature\\""') is places
    same = places[::2]
    assert at_home_first(same, b'"signature":"s"') is same


@pytest.fixture
def third_upstream(spoken: Spoken) -> Iterator[FakeUpstream]:
    server = spoken.upstream()
    yield server
    server.stop()


@pytest.fixture
def three(gateway, upstream, second_upstream, third_upstream) -> list[FakeUpstream]:
    """In their order; the first and the third are of one account."""
    data = catalog(upstream, second=second_upstream)
    third = {**data["upstreams"][1], "name": "third", "base_url": third_upstream.url, "priority": 3}
    data["upstreams"].append(third)
    data["models"][0]["upstreams"].append("third")
    data["upstreams"][0]["account"] = third["account"] = "ours"
    load_catalog(data)
    gateway.look_at_catalog()
    return [upstream, second_upstream, third_upstream]


def refuse(server: FakeUpstream, spoken: Spoken) -> None:
    server.status, server.json = 400, REFUSALS[spoken.name]


def cooldowns(gateway: Gateway) -> float:
    return metric(gateway, "chuizi_upstream_cooldowns_total", upstream="first")


def asked(servers: list[FakeUpstream]) -> list[int]:
    return [len(server.calls) for server in servers]


@each_sealing
def test_it_fails_over_within_its_account_first(gateway, three, spoken):
    three[0].status = 500
    assert gateway.chat(**BODIES[spoken.name]).status_code == 200
    assert asked(three) == [1, 0, 1]
    assert gateway.chat().status_code == 200
    assert asked(three) == [2, 1, 1]


@pytest.mark.parametrize(
    ("spoken", "stream"),
    [(CHAT, False), (CHAT, True), (RESPONSES, False), (MESSAGES, False), (GENERATE, True)],
    ids=str,
)
def test_another_account_is_asked_under_the_same_hold_with_what_is_sealed(gateway, three, spoken, stream):
    refuse(three[0], spoken)
    before = cooldowns(gateway)
    for _ in range(4):
        if stream:
            with gateway.stream(**BODIES[spoken.name]) as answer:
                assert answer.status_code == 200
                assert answer.read().endswith(spoken.last)
        else:
            assert gateway.chat(**BODIES[spoken.name]).status_code == 200
    assert asked(three) == [4, 4, 0]  # never skipped, and the account's other upstream would say the same
    assert cooldowns(gateway) == before
    assert Hold.objects.count() == 4
    sent = orjson.dumps(three[1].calls[0])
    assert orjson.dumps(next(iter(BODIES[spoken.name].values()))) in sent


@of_messages
def test_the_first_accounts_word_is_passed_on_where_no_other_takes_it(gateway, three, spoken):
    refuse(three[0], spoken)
    three[1].status, three[1].json = 503, {"error": "busy"}
    refused = gateway.chat(**BODIES[spoken.name])
    assert refused.status_code == 400
    assert WORDS[spoken.name] in refused.json()["error"]["message"]
    assert asked(three) == [1, 1, 0]
    assert wait_for("released").settlement_reason == "upstream_error"


@of_messages
def test_an_account_that_fails_is_not_spoken_for_by_another(gateway, three, spoken):
    three[0].status, three[2].status = 503, 503
    refuse(three[1], spoken)
    for count in range(1, 5):  # its upstreams cool down, so that in the end the other is the first that is asked
        refused = gateway.chat(**BODIES[spoken.name])
        assert refused.status_code in (502, 503)
        assert asked(three) == [count] * 3


@of_messages
@pytest.mark.parametrize(("full", "calls"), [(("first", "third"), [0, 1, 0]), (("second",), [1, 0, 0])])
def test_an_account_that_has_no_room_may_take_it_in_a_moment(gateway, three, spoken, full, calls):
    from chuizi.asgi import gateway as process

    Upstream.objects.filter(name__in=full).update(max_concurrency=1)
    gateway.look_at_catalog()
    refuse(three[0], spoken)
    refuse(three[1], spoken)
    process._client.slots.taken.update(full)
    refused = gateway.chat(**BODIES[spoken.name])
    process._client.slots.taken.subtract(full)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert asked(three) == calls


@of_messages
def test_what_another_account_says_of_the_request_itself_is_told(gateway, three, spoken):
    refuse(three[0], spoken)
    three[1].status, three[1].json = 400, {"error": {"message": "The prompt is too long."}}
    assert "too long" in gateway.chat(**BODIES[spoken.name]).json()["error"]["message"]
    assert asked(three) == [1, 1, 0]


@of_messages
def test_where_it_is_told_within_a_stream_another_account_is_asked_too(gateway, three, spoken):
    event = b"event: error\ndata: " + orjson.dumps(REFUSALS["messages"]) + b"\n\n"
    three[0].events = [event]
    for _ in range(4):
        with gateway.stream(**BODIES["messages"]) as answer:
            assert answer.read().endswith(spoken.last)
    assert asked(three) == [4, 4, 0]
    assert set(Generation.objects.values_list("settlement_reason", flat=True)) == {"completed"}
