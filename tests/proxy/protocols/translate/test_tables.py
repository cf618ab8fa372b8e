"""docs/translation.md says what is carried, ignored and refused: each row of its tables is run."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.protocols.base import BadRequest
from tests.proxy.protocols.translate.ways import (
    CHAT_TO_RESPONSES,
    MESSAGES_TO_RESPONSES,
    RESPONSES_TO_CHAT,
    RESPONSES_TO_MESSAGES,
    TO_CHAT,
    TO_MESSAGES,
    Way,
)

PAGE = Path(__file__).parents[4] / "docs" / "translation.md"
ROW = re.compile(r"^\| `(\{.*\})` \| (carried|hint|refused) \| `(.*)` \|$", re.MULTILINE)
REASON = re.compile(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", re.MULTILINE)


def rows(heading: str, way: Way) -> list[Any]:
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    found = ROW.findall(section)
    assert len(found) == len(lines) > 30, "a row that is none"
    return [pytest.param(way, *row, id=f"{way.name} {row[0][:60]}") for row in found]


WAYS = {
    "Chat completions to Messages": TO_MESSAGES,
    "Messages to chat completions": TO_CHAT,
    "Responses to chat completions": RESPONSES_TO_CHAT,
    "Responses to Messages": RESPONSES_TO_MESSAGES,
    "Chat completions to Responses": CHAT_TO_RESPONSES,
    "Messages to Responses": MESSAGES_TO_RESPONSES,
}
ROWS = [row for heading, way in WAYS.items() for row in rows(heading, way)]
NOT_COMPARED = dict.fromkeys(("messages", "tools", "system", "stream", "stream_options", "input", "reasoning"), 0)
"""What a hint stands in, and what brings it."""


@pytest.mark.parametrize(("way", "asked", "kind", "becomes"), ROWS)
def test_each_row_of_the_tables_is_so(way, asked, kind, becomes):
    body = orjson.loads(asked)
    if kind == "refused":
        with pytest.raises(BadRequest) as refused:
            way.sent(body)
        assert refused.value.param == becomes
        assert f"`{becomes}`" in str(refused.value)
        return
    sent, ignored = way.sent(body)
    plain, _ = way.sent({})
    if kind == "hint":
        assert ignored == (becomes,)
        assert {**sent, **NOT_COMPARED} == {**plain, **NOT_COMPARED}
        return
    expected = orjson.loads(becomes)
    assert {name: sent.get(name) for name in expected} == expected
    assert not ignored
    if not expected:
        assert sent == plain


REASONS = REASON.findall(PAGE.read_text())


@pytest.mark.parametrize("row", REASONS, ids=str)
def test_each_reason_for_an_end_has_its_pair(row):
    theirs, told_chat, chats, told_messages = row
    block = {"type": "text", "text": "Hi"}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [block]}
    answer = TO_MESSAGES.whole({**message, "stop_reason": theirs, "usage": {"input_tokens": 1, "output_tokens": 1}})
    assert answer["choices"][0]["finish_reason"] == told_chat
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": chats}
    chat = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    assert TO_CHAT.whole(chat)["stop_reason"] == told_messages


def test_the_tables_have_all_reasons():
    assert len(REASONS) == 7
