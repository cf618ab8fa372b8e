"""Each shape of an upstream, asked as JSON and as a stream: words, ids, usage, charge, reason and what the log says."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.models import Generation
from sandbox.upstream import gemini_shapes, message_shapes
from sandbox.upstream.responses import shapes as response_shapes
from sandbox.upstream.shapes import HOST, KEY, SHAPES
from tests.proxy.conftest import only_generation, wait_for
from tests.proxy.relay.answers.raw import told
from tests.sandbox_server import SandboxServer
from tests.spoken import CHAT, GENERATE, MESSAGES, RESPONSES, Spoken

TOKENS = 12
SECRETS = (KEY, HOST, "org-abcdef123456")


@dataclass(frozen=True)
class Expected:
    """What becomes of a shape; `counts` says whose usage is charged."""

    status: int = 200
    code: str = ""
    reason: str = "completed"
    counts: str = "upstream"
    is_flagged: bool = False
    has_words: bool = True
    message: str = ""


FINE = Expected()
FAILED = Expected(502, "provider_error", "upstream_error", "none", has_words=False)
BUSY = Expected(503, "provider_unavailable", "upstream_error", "none", has_words=False)
FAULT = Expected(400, "validation_error", "upstream_error", "none", has_words=False)
ODD = Expected(is_flagged=True)
CHATS: dict[str, Expected] = {
    **dict.fromkeys(SHAPES, FINE),
    "error-beside-choices": Expected(reason="upstream_error", code="provider_error", counts="any"),
    "error-in-choice": Expected(reason="upstream_error", code="provider_error", counts="any"),
    **dict.fromkeys(("vllm-400", "google-400", "events-400", "html-400"), FAULT),
    "fastapi-422": Expected(422, "validation_error", "upstream_error", "none", has_words=False),
    "too-long-400": Expected(400, "context_length_exceeded", "upstream_error", "none", has_words=False),
    **dict.fromkeys(("busy-503", "overloaded-529", "busy-date"), BUSY),
    **dict.fromkeys(("minimax", "code-message", "only-done", "empty-choices"), FAILED),
    "no-usage-calls": Expected(counts="estimated", has_words=False),
    "no-usage-reasoning": Expected(counts="estimated", has_words=False),
    "usage-zeros": Expected(counts="estimated", is_flagged=True),
    "usage-no-completion": Expected(counts="estimated", is_flagged=True),
    "usage-anthropic-way": Expected(counts="summed", is_flagged=True),
    "dear-cost": ODD,
    "dear-tier": ODD,
}
TOO_LARGE = Expected(413, "request_too_large", "upstream_error", "none", has_words=False)
TOO_LONG = Expected(400, "context_length_exceeded", "upstream_error", "none", has_words=False)
MESSAGE: dict[str, Expected] = {
    **dict.fromkeys(message_shapes.SHAPES, FINE),
    "words-then-error": Expected(reason="upstream_error", code="provider_error", counts="any"),
    "refused-400": FAULT,
    "too-long-400": TOO_LONG,
    "refused-413": TOO_LARGE,
    **dict.fromkeys(("busy-429", "overloaded-529", "overloaded-event"), BUSY),
    **dict.fromkeys(("refused-404", "poor-400", "failed-event", "only-stop"), FAILED),
    "operators-event": Expected(502, "provider_error", "upstream_error", "none", has_words=False, message="r failed."),
    "no-usage-tool": Expected(counts="estimated", has_words=False),
    "no-usage-thinking": Expected(counts="estimated", has_words=False),
    "usage-zeros": Expected(counts="estimated", is_flagged=True),
    "usage-no-output": Expected(counts="estimated", is_flagged=True),
    "usage-beside": Expected(counts="summed"),
    "dear-cost": ODD,
    "dear-tier": ODD,
}
GENERATED: dict[str, Expected] = {
    **dict.fromkeys(gemini_shapes.SHAPES, FINE),
    "words-then-error": Expected(reason="upstream_error", code="provider_error", counts="any"),
    **dict.fromkeys(("refused-400", "listed-400"), FAULT),
    "too-long-400": TOO_LONG,
    **dict.fromkeys(("busy-429", "overloaded-503"), BUSY),
    **dict.fromkeys(("key-400", "unknown-404", "operators-event", "failed-event", "empty", "no-candidates"), FAILED),
    "no-usage-call": Expected(counts="estimated", has_words=False),
    "no-usage-thought": Expected(counts="estimated", has_words=False),
    "usage-zeros": Expected(counts="estimated", is_flagged=True),
    "usage-no-output": Expected(counts="estimated", is_flagged=True),
    "usage-more": Expected(counts="summed", is_flagged=True),
    "dear-cost": ODD,
    "dear-tier": ODD,
}
RESPONSE: dict[str, Expected] = {
    **dict.fromkeys(response_shapes.SHAPES, FINE),
    "words-then-failed": Expected(reason="upstream_error", code="provider_error", counts="any"),
    "words-then-error": Expected(reason="upstream_error", code="provider_error", counts="any"),
    "refused-400": FAULT,
    "too-long-400": TOO_LONG,
    **dict.fromkeys(("busy-429", "failed-limit"), BUSY),
    "failed-input": Expected(400, "image_parse_error", "upstream_error", "none", has_words=False),
    **dict.fromkeys(("failed", "error-event", "nested-error"), FAILED),
    "unended": Expected(502, "provider_error", "upstream_eof", "none", has_words=False),
    "no-usage-call": Expected(counts="estimated", has_words=False),
    "no-usage-reasoning": Expected(counts="estimated", has_words=False),
    "usage-zeros": Expected(counts="estimated", is_flagged=True),
    "usage-no-output": Expected(counts="estimated", is_flagged=True),
    "dear-cost": ODD,
    "dear-tier": ODD,
}
EXPECTED = {CHAT: CHATS, MESSAGES: MESSAGE, GENERATE: GENERATED, RESPONSES: RESPONSE}
CASES = [pytest.param(spoken, name, id=f"{spoken}-{name}") for spoken, found in EXPECTED.items() for name in found]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    server = SandboxServer(state=Path(tmp_path_factory.mktemp("sandbox")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upstream(sandbox: SandboxServer, spoken: Spoken) -> SimpleNamespace:
    """The sandbox's model in the place of the scripted one."""
    return SimpleNamespace(url=sandbox.upstream_url, protocol=spoken.protocol)


def ask(gateway: Any, *, stream: bool, fault: str = "") -> tuple[int, list[Any], Any]:
    more: dict[str, Any] = {"headers": {"anthropic-version": "2023-06-01"}}
    if stream and gateway.spoken is CHAT:
        more["stream_options"] = {"include_usage": True}
    if gateway.spoken in (CHAT, MESSAGES):
        more["max_tokens"] = 200
    return told(gateway, stream=stream, sandbox={"tokens": TOKENS, "fault": fault}, **more)


@pytest.fixture
def truth(gateway: Any) -> tuple[str, dict[str, Any], Decimal]:
    """Words, usage and charge of the plain answer."""
    _status, [whole], _headers = ask(gateway, stream=False)
    charge = wait_for("metered").cost
    Generation.objects.all().delete()
    assert charge is not None
    return gateway.spoken.words_of(whole), gateway.spoken.holder(whole)[gateway.spoken.usage], charge


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize(("spoken", "name"), CASES)
def test_a_shape_becomes_what_every_client_can_read_and_is_charged_right(gateway, truth, spoken, name, stream, caplog):
    said, usage, charge = truth
    expected = EXPECTED[spoken][name]
    with caplog.at_level(logging.INFO):
        status, events, headers = ask(gateway, stream=stream, fault=name)
    assert status == expected.status, events
    assert "".join(map(spoken.words_of, events)) == (said if expected.has_words else "")
    faults = [code for event in events if (code := spoken.code_of(event))]
    assert faults == ([spoken.code(expected.code)] if expected.code else [])
    assert expected.message in str(events)
    generation = wait_for("released" if expected.counts == "none" else "metered")
    assert only_generation().settlement_reason == expected.reason
    assert headers["x-generation-id"] == generation.pk
    if spoken is CHAT:
        assert {event.get("id", generation.pk) for event in events} == {generation.pk}
    if expected.status == 503:
        assert 1 <= int(headers["retry-after"]) <= 17
    shown = [told for event in events if (told := spoken.holder(event).get(spoken.usage))]
    if expected.counts == "upstream":
        assert (generation.cost, generation.usage_source) == (charge, "upstream")
        assert [shown[-1][name] for name in spoken.counts] == [usage[name] for name in spoken.counts]
        assert Decimal(str(shown[-1]["cost"])) == charge
        assert "cost_details" not in shown[-1]
    elif expected.counts == "estimated":
        assert generation.usage_source == "estimated"
        assert generation.cost > 0
    elif expected.counts == "summed":
        assert generation.cost > charge
    if expected.counts != "none":
        assert generation.cost <= generation.bound
        assert faults or any("x_chuizi" in spoken.holder(event) for event in events)
    assert generation.is_flagged is expected.is_flagged or expected.counts == "any"
    for text in (str(events), *(record.getMessage() for record in caplog.records if record.name.startswith("proxy"))):
        assert not [secret for secret in SECRETS if secret in text]


def test_every_shape_has_its_expectation():
    assert set(CHATS) == set(SHAPES)
    assert set(MESSAGE) == set(message_shapes.SHAPES)
    assert set(GENERATED) == set(gemini_shapes.SHAPES)
    assert set(RESPONSE) == set(response_shapes.SHAPES)
