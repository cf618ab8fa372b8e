"""How upstreams do: what a gateway counts, what it writes, and what staff are told."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from django.core.cache import caches
from django.urls import reverse

from chuizi.asgi import gateway as application
from core.clock import database_now
from proxy.health import rows, tally, trying
from proxy.health.tally import LIMITS, Health, Last, Minute, quantile
from proxy.models import Upstream, UpstreamHealth, UpstreamMinute
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog
from tests.staffing import at_desk, in_role

KEY = "sk-upstream-secret-of-some-length"


def times(**counts: int) -> list[int]:
    """Counts by the number of their bucket."""
    found = [0] * (len(LIMITS) + 1)
    for name, count in counts.items():
        found[int(name[1:])] = count
    return found


def test_a_quantile_lies_in_the_bucket_of_its_answer(monkeypatch):
    monkeypatch.setattr(tally, "time", lambda: 120.0)  # all within one minute
    health = Health()
    for seconds in (0.1,) * 98 + (3.0,) * 2:
        health.answered(1, seconds=seconds)
    minutes, _last = health.taken()
    (minute,) = minutes.values()
    assert minute.answered == 100
    assert health.taken() == ({}, {})
    assert 0.07 < quantile(minute.times, 0.5) <= 0.115
    assert 2.2 < quantile(minute.times, 0.99) <= 3.7
    assert quantile(times(), 0.5) is None
    assert quantile(times(b33=1), 0.5) == LIMITS[-1]


@pytest.fixture
def upstream_row(db):
    load_catalog(
        {
            "upstreams": [
                {"name": "main", "protocol": "openai", "base_url": "https://api.example.com/v1", "api_key": KEY}
            ]
        }
    )
    return Upstream.objects.get()


def test_what_several_processes_count_adds_up(upstream_row):
    now = database_now()
    minute = int(now.timestamp()) // 60
    one, other = Minute(3, 1, times(b4=3)), Minute(2, 0, times(b4=1, b9=1))
    pk = upstream_row.pk
    failed = Last(now, now - timedelta(seconds=5), 500, "overloaded")
    rows.write({(pk, minute): one}, {pk: failed}, cooling={pk: 30.0})
    rows.write({(pk, minute): other}, {pk: Last(failed_at=now - timedelta(seconds=9), status=502)}, cooling={})
    rows.write({(pk + 1, minute): one}, {pk + 1: failed}, cooling={})  # deleted meanwhile
    kept = UpstreamMinute.objects.get()
    assert (kept.answered, kept.failed, kept.times) == (5, 1, times(b4=4, b9=1))
    health = UpstreamHealth.objects.get()
    assert (health.status, health.text, health.answered_at) == (500, "overloaded", now)
    period = rows.period(pk, rows.HOUR, now=now)
    assert (period.answered, period.failed, round(period.share, 3)) == (5, 1, 0.167)
    assert rows.period(pk, rows.HOUR, now=now + timedelta(hours=2)).share is None
    rows.tidy()
    assert UpstreamMinute.objects.count() == 1
    UpstreamMinute.objects.update(minute=now - timedelta(days=3))
    rows.tidy()
    assert not UpstreamMinute.objects.exists()


@pytest.mark.parametrize(
    ("status", "answered", "is_broken"),
    [(401, -1, True), (0, -1, True), (404, -1, True), (401, 1, False), (500, -1, False), (429, -1, False)],
)
def test_an_upstream_is_broken_by_what_no_later_answer_disproves(upstream_row, status, answered, is_broken):
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    health = UpstreamHealth(
        upstream=upstream_row, failed_at=now, status=status, answered_at=now + timedelta(seconds=answered)
    )
    assert rows.is_broken(health, now=now + timedelta(minutes=1)) is is_broken
    assert not rows.is_broken(health, now=now + timedelta(days=2))


def test_half_of_the_latest_requests_failing_is_trouble_and_one_is_not(upstream_row):
    now = database_now()
    pk, minute = upstream_row.pk, int(now.timestamp()) // 60
    last = {pk: Last(now - timedelta(seconds=1), now, 500, "overloaded")}
    rows.write({(pk, minute): Minute(9, 1, times(b4=9))}, last, cooling={})
    assert rows.in_trouble(now=now) == []
    rows.write({(pk, minute): Minute(0, 8, times())}, last, cooling={})
    assert [one.name for one, _health in rows.in_trouble(now=now)] == ["main"]
    Upstream.objects.update(is_active=False)
    assert rows.in_trouble(now=now) == []


@pytest.fixture
def operator(db):
    caches["pages"].clear()
    return at_desk(in_role("operator"))


def shown(operator, upstream) -> str:
    return " ".join(operator.get(reverse("admin:proxy_upstream_change", args=[upstream.pk])).content.decode().split())


def refuses(upstream, status: int, words: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response({"error": {"message": words}}, status=status)

    upstream.handler = handler


def test_what_a_gateway_sees_of_an_upstream_stands_on_its_page(gateway, upstream, settings):
    load_catalog(catalog(upstream))
    gateway.look_at_catalog()
    assert gateway.chat().status_code == 200
    refuses(upstream, 401, "Incorrect API key provided: sk-upstream. Billing is off.")
    assert gateway.chat().status_code == 502
    gateway._server.run_there(application._write_health())
    row = Upstream.objects.get()
    operator = at_desk(in_role("operator"))
    caches["pages"].clear()
    page = shown(operator, row)
    assert "401 Incorrect API key provided" in page
    assert "Billing is off." in page
    assert row.api_key not in page
    assert "1 of 2 failed (50.0 %)" in page
    first = " ".join(operator.get("/admin/").content.decode().split())
    assert re.search(rf'Upstreams that fail</dt><dd class="desk-bad"><a [^>]*>{row.name} \(401 Incorrect', first)
    # A caller's own fault is an answer.
    refuses(upstream, 400, "max_tokens is too large")
    assert gateway.chat().status_code == 400
    gateway._server.run_there(application._write_health())
    assert 'Upstreams that fail</dt><dd class="desk-none">' in " ".join(_fresh(operator).split())


def _fresh(operator) -> str:
    caches["pages"].clear()
    return operator.get("/admin/").content.decode()


@pytest.mark.parametrize(
    ("answer", "words", "outcome"),
    [
        ((200, {"data": []}), "It works: 200", trying.Outcome.WORKS),
        ((401, {"error": {"message": f"No such key: {KEY}"}}), "It fails: 401", trying.Outcome.FAILS),
        ((404, {}), "it has no list of models", trying.Outcome.UNTOLD),
        (None, "No answer after", trying.Outcome.FAILS),
    ],
)
@pytest.mark.parametrize("protocol", ["openai", "anthropic", "gemini"])
def test_a_test_says_whether_it_works(operator, upstream_row, upstream, settings, protocol, answer, words, outcome):
    settings.ALLOW_PRIVATE_UPSTREAMS = True

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path.endswith("/models")
        assert any(KEY in value for value in request.headers.values())
        return web.json_response(answer[1], status=answer[0])

    upstream.handler = handler
    url = "http://127.0.0.1:9/v1" if answer is None else upstream.url
    Upstream.objects.update(base_url=url, protocol=protocol, kind=protocol)
    page = operator.get(reverse("admin:proxy_upstream_try_it", args=[upstream_row.pk]), follow=True).content.decode()
    assert words in page
    assert KEY not in page
    health = UpstreamHealth.objects.filter(failed_at__isnull=False).first()
    assert (health is not None and rows.is_broken(health, now=database_now())) is (outcome is trying.Outcome.FAILS)


def test_another_key_is_tried_at_once_and_the_first_page_is_red(
    operator, upstream_row, upstream, settings, monkeypatch, django_capture_on_commit_callbacks
):
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    refuses(upstream, 401, "Incorrect API key provided.")
    Upstream.objects.update(base_url=upstream.url)
    rows.write({}, {upstream_row.pk: Last(answered_at=database_now())}, cooling={})
    assert "works" in shown(operator, upstream_row)
    asked = []

    def send_task(name: str, arguments: list[int], **_options: object) -> None:
        asked.append(name)
        trying.try_upstream(*arguments)

    monkeypatch.setattr("desk.upstreams.page.current_app.send_task", send_task)
    fields = {"name": "main", "protocol": "openai", "kind": "openai", "priority": 1, "currency": "USD"}
    fields |= {"timeout_seconds": 60, "total_timeout_seconds": 600, "is_active": "on", "base_url": upstream.url}
    path = reverse("admin:proxy_upstream_change", args=[upstream_row.pk])
    with django_capture_on_commit_callbacks(execute=True):
        assert operator.post(path, {**fields, "why": "x"}).status_code == 302
    assert asked == []
    with django_capture_on_commit_callbacks(execute=True):
        assert operator.post(path, {**fields, "new_api_key": "sk-of-nobody", "why": "x"}).status_code == 302
    assert asked == ["proxy.tasks.try_upstream"]
    assert "main (401 Incorrect API key provided.)" in _fresh(operator)
