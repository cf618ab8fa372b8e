"""The session of its client that a request names: stored with its hold, and refused before one where it cannot be."""

import asyncio

import aiohttp
import pytest

from billing.models import Hold
from proxy.models import Generation
from tests.gateways import BODY
from tests.proxy.conftest import only_generation
from tests.spoken import CHAT, MESSAGES, RESPONSES, each_protocol

LONGEST = "s" * 200


@each_protocol
def test_any_caller_may_name_its_session(gateway, spoken):
    answer = gateway.chat(headers={"X-Session-Id": "a session"})
    assert answer.status_code == 200
    assert only_generation().session == "a session"
    told = gateway.client.get("/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()
    assert told["data"]["session"] == "a session"


@pytest.mark.parametrize(
    ("spoken", "headers", "session"),
    [
        (RESPONSES, {"session-id": "of-codex", "thread-id": "a-thread"}, "of-codex"),
        (CHAT, {"session-id": "of-codex", "thread-id": "a-thread"}, "of-codex"),
        (CHAT, {"thread-id": "a-thread"}, "a-thread"),
        (CHAT, {"x-session-id": "of-opencode", "x-session-affinity": "of-opencode"}, "of-opencode"),
        (CHAT, {"session-id": "theirs", "x-session-id": "ours"}, "ours"),
        (CHAT, {"x-session-id": LONGEST}, LONGEST),
        (CHAT, {"session-id": LONGEST + "s", "x-session-affinity": "shorter"}, "shorter"),
        (CHAT, {"session-id": "a\tb"}, None),
        (CHAT, {"x-session-id": ""}, None),
        (CHAT, {"x-claude-code-session-id": "of-another-protocol"}, None),
        (CHAT, {}, None),
        (MESSAGES, {"x-claude-code-session-id": "of-claude"}, "of-claude"),
        (MESSAGES, {"x-session-affinity": "of-opencode"}, "of-opencode"),
        (MESSAGES, {"session-id": "of-another-protocol"}, None),
    ],
)
def test_clients_name_theirs_in_headers_of_their_own(gateway, upstream, spoken, headers, session):
    assert gateway.chat(headers=headers).status_code == 200
    assert only_generation().session == session
    assert {name.lower() for name in upstream.headers[0]}.isdisjoint({"x-session-id", "x-session-affinity"})


@pytest.mark.parametrize(
    "lines",
    [[LONGEST + "s"], ["tab\there"], [b"caf\xc3\xa9"], ["one", "another"]],
    ids=["too long", "not printable", "not ASCII", "two of them"],
)
def test_one_that_cannot_be_stored_is_refused_before_a_hold(gateway, lines):
    sent = [(b"x-session-id", line if isinstance(line, bytes) else line.encode()) for line in lines]
    refused = gateway.client.post(
        CHAT.path, json=CHAT.asked, headers=[(b"authorization", f"Bearer {gateway.key}".encode()), *sent]
    )
    assert refused.status_code == 400
    assert "session" in refused.json()["error"]["message"].lower()
    assert not Hold.objects.exists()


def test_requests_that_are_held_together_keep_each_its_own(gateway, upstream):
    names = [f"s{number}" if number % 3 else "" for number in range(40)]

    async def ask_all() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {gateway.key}"}) as session:

            async def ask(name: str) -> None:
                body = {**BODY, "messages": [{"role": "user", "content": name or "none"}]}
                headers = {"X-Session-Id": name} if name else {}
                async with session.post(gateway.url + CHAT.path, json=body, headers=headers) as response:
                    assert response.status == 200

            await asyncio.gather(*map(ask, names))

    asyncio.run(ask_all())
    found = Generation.objects.values_list("session", flat=True)
    assert sorted(found, key=str) == sorted([name or None for name in names], key=str)
