"""Each path before the sandbox's model, which fails in each of its ways: status, code, charge, and no secret told."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from proxy.prices.loading import load_catalog
from sandbox.upstream.faults import WHAT
from tests.proxy.conftest import Gateway, catalog, only_generation, wait_for
from tests.proxy.protocols.kin.conftest import post
from tests.proxy.protocols.kin.table import ALL, COMPLETIONS, MEDIA, STREAMS, TRANSCRIPT, TRANSCRIPT_EVENTS, Kin
from tests.sandbox_server import SandboxServer

STREAMED = ("no-done", "usage-middle", "usage-each", "error-in-stream")
"""Faults that only a stream can have."""
FAILED = {
    "400": (400, "context_length_exceeded"),
    "401": (502, "provider_error"),
    "403": (502, "provider_error"),
    "429": (503, "provider_unavailable"),
    "500": (502, "provider_error"),
    "503": (502, "provider_error"),
    "garbage": (502, "provider_error"),
    "hang": (504, "provider_timeout"),
    "slow": (504, "provider_timeout"),
    "eof-mid-stream": (502, "provider_error"),
    "hang-mid-stream": (504, "provider_timeout"),
}
ANSWERED = {"no-usage": "estimated", "zero-usage": "estimated", "huge-usage": "upstream"}
SECRETS = ("sk-up", "org-sandbox", "127.0.0.1")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    server = SandboxServer(state=Path(tmp_path_factory.mktemp("sandbox")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upstream(sandbox: SandboxServer) -> SimpleNamespace:
    return SimpleNamespace(url=sandbox.upstream_url, protocol="openai")


@pytest.fixture
def served(gateway: Gateway, upstream: Any, kin: Kin) -> Gateway:
    asked = catalog(upstream, price=kin.price)
    asked["upstreams"][0] |= {"timeout_seconds": 1}
    load_catalog(asked)
    gateway.look_at_catalog()
    return gateway


WHOLE = [(kin, fault) for kin in (*ALL, *MEDIA, COMPLETIONS) for fault in ("", *WHAT) if fault not in STREAMED]
UPLOADED = [(TRANSCRIPT, fault) for fault in ("", "400", "garbage", "eof-mid-stream", "huge-usage")]


@pytest.mark.parametrize(("kin", "fault"), [*WHOLE, *UPLOADED], ids=str)
def test_a_fault_becomes_an_error_of_openais_shape_and_nothing_is_charged_for_nothing(served, kin, fault):
    answer = post(served, kin, sandbox={"fault": fault})
    if fault in FAILED:
        assert (answer.status_code, answer.json()["error"]["code"]) == FAILED[fault]
        assert set(answer.json()["error"]) <= {"message", "type", "code", "param"}
        assert wait_for("released").cost in (None, 0)
    else:
        assert answer.status_code == 200, answer.text
        generation = wait_for("metered")
        source = kin.counts.get(fault, kin.counts.get("", ANSWERED.get(fault, "upstream")))
        assert generation.usage_source == source
        assert 0 < generation.cost <= generation.bound
        assert generation.is_flagged is (fault in ("huge-usage", "zero-usage") and not kin.counts)
    assert answer.headers["x-generation-id"] == only_generation().pk
    assert not [secret for secret in SECRETS if secret.encode() in answer.content]


BEFORE = ("400", "401", "403", "429", "500", "503", "hang", "slow")
"""Faults of a stream that has not begun."""
BROKEN = {
    "eof-mid-stream": "upstream_eof",
    "hang-mid-stream": "timeout",
    "error-in-stream": "upstream_error",
    "no-done": "upstream_eof",
}


AS_EVENTS = [(kin, fault) for kin in STREAMS for fault in ("", *WHAT)]
UPLOADED_EVENTS = [(TRANSCRIPT_EVENTS, fault) for fault in ("", "eof-mid-stream", "no-usage")]


@pytest.mark.parametrize(("kin", "fault"), [*AS_EVENTS, *UPLOADED_EVENTS], ids=str)
def test_a_fault_of_a_stream_ends_it_with_an_error_and_nothing_is_charged_for_what_broke_off(served, kin, fault):
    answer = post(served, kin, sandbox={"fault": fault})
    if fault in BEFORE:
        assert (answer.status_code, answer.json()["error"]["code"]) == FAILED[fault]
        assert wait_for("released").cost in (None, 0)
        return
    assert answer.status_code == 200, answer.text
    last = orjson.loads(answer.text.strip().rpartition("data: ")[2])
    generation = wait_for("metered")
    if fault in BROKEN:
        assert (last["type"], set(last["error"])) == ("error", {"message", "type", "code"})
        assert (generation.cost, generation.settlement_reason) == (0, BROKEN[fault])
    else:
        assert Decimal(last["x_chuizi"]["cost"]) == Decimal(str(last["usage"]["cost"])) == generation.cost
        assert generation.usage_source == ANSWERED.get(fault, "upstream")
        assert 0 < generation.cost <= generation.bound
        assert generation.cost == kin.cost or fault in ANSWERED
        assert generation.is_flagged is (fault in ("huge-usage", "zero-usage"))
    assert not [secret for secret in SECRETS if secret in answer.text]
