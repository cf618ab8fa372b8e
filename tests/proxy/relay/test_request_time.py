"""A request has its time once, however many upstreams it is tried at, and ends before anybody sweeps it."""

from types import SimpleNamespace
from typing import Any

import pytest

from proxy.health.tally import Health
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols.openai import chat
from proxy.protocols.openai.chat.endpoint import ChatCompletions
from proxy.relay import failover
from proxy.relay.choosing.cooldown import Cooldown
from proxy.relay.failover import MOST_SECONDS, Failover, NoUpstream
from proxy.relay.habits import HabitBook
from proxy.settlement import metering, settle

CALL = chat.read(b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')


class Upstreams:
    """Each is silent for so many seconds, then answers with success or not at all; time passes as they say."""

    def __init__(self, **silences: float) -> None:
        self.cooldown = Cooldown(after=0, seconds=5, most=30)
        self.habits = HabitBook()
        self.health = Health()
        self.silences = silences
        self.asked: list[str] = []
        self.now = 1000.0

    async def send(self, destination: Destination, *_more: Any, **_named: Any) -> Any:
        self.asked.append(destination.upstream)
        silence = self.silences[destination.upstream]
        self.now += min(abs(silence), destination.timeout)
        if silence < 0 or silence > destination.timeout:
            raise TimeoutError
        return SimpleNamespace(status=200, content=None)


def failing_over(upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch, *, timeout: float, total: float) -> Failover:
    monkeypatch.setattr(failover, "monotonic", lambda: upstreams.now)
    places: Any = [
        Destination("m", number, name, "openai", f"https://{name}.example", "", "m", timeout, total)
        for number, name in enumerate(upstreams.silences)
    ]
    client: Any = upstreams
    return Failover(client, ChatCompletions(), CALL, places, output_limit=9)


async def test_the_next_upstream_has_what_the_one_before_left(monkeypatch):
    upstreams = Upstreams(first=-1, second=5)
    found = failing_over(upstreams, monkeypatch, timeout=60, total=100)
    _response, took = await found.open(lambda: False)
    assert (took.upstream, upstreams.now) == ("second", 1006)
    assert found.ends_at == 1100


async def test_whoever_comes_when_the_time_is_over_is_not_asked(monkeypatch):
    upstreams = Upstreams(first=100, second=100, third=1)
    with pytest.raises(NoUpstream) as none:
        await failing_over(upstreams, monkeypatch, timeout=60, total=100).open(lambda: False)
    assert (none.value.refusal.status, none.value.reason) == (504, Generation.Reason.TIMEOUT)
    assert upstreams.asked == ["first", "second"]


async def test_the_longest_request_ends_and_is_metered_before_it_is_swept(monkeypatch):
    upstreams = Upstreams(first=-7000, second=5)
    found = failing_over(upstreams, monkeypatch, timeout=7200, total=7200)
    await found.open(lambda: False)
    assert found.ends_at == 1000 + MOST_SECONDS
    admitted_before = 5
    left = settle.LONGEST_REQUEST.total_seconds() - MOST_SECONDS - admitted_before
    assert left > 2 * metering.ANSWER_SECONDS
