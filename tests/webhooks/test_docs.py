"""The page for receivers: its examples tell our posts from others', and it names every event."""

import re
import time
from datetime import UTC, datetime

import pytest

from webhooks import signing
from webhooks.kinds import EVENTS, TEST

SECRET = signing.new_secret()
BODY = '{"type": "topup.paid", "data": {"note": "六"}}'


def examples(repository):
    text = (repository / "docs" / "webhooks.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("number", [0, 1])
def test_an_example_takes_our_posts_and_no_others(repository, number):
    found = examples(repository)
    assert len(found) == 2
    place: dict[str, object] = {}
    exec(found[number], place)
    event_of = place["event_of"]

    def headers(*secrets: str, at: float) -> dict[str, str]:
        now = datetime.fromtimestamp(at, UTC)
        return signing.headers(message_id="evt_1", body=BODY, signed_with=secrets, now=now)

    now, other = time.time(), signing.new_secret()
    expected = {"type": "topup.paid", "data": {"note": "六"}}
    assert event_of(BODY.encode(), headers(SECRET, at=now), SECRET) == expected
    assert event_of(BODY.encode(), headers(other, SECRET, at=now), SECRET) == expected
    assert event_of(BODY.encode(), headers(other, at=now), SECRET) is None
    assert event_of(BODY.encode() + b" ", headers(SECRET, at=now), SECRET) is None
    assert event_of(BODY.encode(), headers(SECRET, at=now - 400), SECRET) is None
    assert event_of(BODY.encode(), headers(SECRET, at=now) | {"webhook-id": "evt_2"}, SECRET) is None


def test_the_page_names_every_event(repository):
    text = (repository / "docs" / "webhooks.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| `([a-z_.]+)` \|", text) == [*EVENTS, TEST]
