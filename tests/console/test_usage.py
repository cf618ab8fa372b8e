"""/console/usage: the list with its filters and pages, and each request's receipt."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape

import pytest

from accounts.keys import issuing
from accounts.models import Customer
from proxy.models import Generation
from proxy.prices.usage import Usage
from proxy.records import sessions
from proxy.settlement.settle import release


@pytest.fixture
def listed(browser_client):
    """A function: the ids that a page of the list links to, in its order."""

    def ids(query: str = "") -> list[str]:
        text = browser_client.get(f"/console/usage{query or '?by=requests'}").content.decode()
        return re.findall(r'href="/console/usage/(gen-\w+)"', text)

    return ids


def test_requests_are_listed_newest_first(listed, make_request, now):
    made = [make_request(at=now + timedelta(seconds=n)).pk for n in range(3)]
    assert listed() == made[::-1]


def test_pages_lead_on_and_back(browser_client, make_request, listed, now):
    made = [make_request(at=now + timedelta(seconds=n), bound="0.02").pk for n in range(52)][::-1]
    text = browser_client.get("/console/usage?by=requests").content.decode()
    [older] = re.findall(r'rel="next" href="([^"]+)"', text)
    assert listed() == made[:50]
    older = unescape(older)
    assert listed(older) == made[50:]
    text = browser_client.get(f"/console/usage{older}").content.decode()
    [newer] = re.findall(r'rel="prev" href="([^"]+)"', text)
    assert listed(unescape(newer)) == made[:50]
    assert 'rel="next"' not in text


def test_a_session_is_shown_and_chosen_whatever_its_name(listed, make_request, browser_client):
    odd = "a/b&c=<i>?#%20"
    one, _other = make_request(session=odd).pk, make_request(session="b").pk
    receipt = browser_client.get(f"/console/usage/{one}").content.decode()
    [link] = re.findall(r'href="/console/usage(\?session=[^"]+)"', receipt)
    assert "a/b&amp;c=&lt;i&gt;?#%20" in receipt
    assert listed(link) == [one]
    assert "a/b&amp;c=&lt;i&gt;?#%20" in browser_client.get("/console/usage?by=requests").content.decode()


def test_filters_by_day_model_key_and_state(listed, make_request, customer, now):
    other = issuing.issue(customer=customer, name="other", now=now)
    plain = make_request().pk
    nano = make_request(model="openai/gpt-4.1-nano").pk
    with_other = make_request(of=other).pk
    held = make_request(state="held").pk
    yesterday = make_request(at=now - timedelta(days=1)).pk
    assert set(listed("?day=2026-11-23&by=requests")) == {plain, nano, with_other, held}
    assert listed("?day=2026-11-22&by=requests") == [yesterday]
    assert listed("?model=openai/gpt-4.1-nano&by=requests") == [nano]
    assert listed(f"?key={other.key.pk}&by=requests") == [with_other]
    assert listed("?state=held") == [held]
    assert listed("?day=2026-11-23&state=held&model=openai/gpt-4.1-nano") == []


def test_a_quarantined_request_is_metered_to_its_customer(listed, make_request, browser_client):
    generation = make_request(state="metered")
    Generation.objects.update(state="quarantined")
    assert listed("?state=metered") == [generation.pk]
    assert "quarantined" not in browser_client.get(f"/console/usage/{generation.pk}").content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?day=2026-02-30", "“2026-02-30” is no day; write it as 2026-11-23."),
        ("?day=banana", "“banana” is no day; write it as 2026-11-23."),
        ("?to=0001-01-01", "is no day"),
        ("?from=2026-11-03&to=2026-11-02", "The first day is after the last one."),
        ("?from=2020-01-01&to=2026-11-02", "A page shows 366 days at most"),
        ("?range=ever", "There is no such range"),
        ("?by=hour", "There is no such grouping"),
        ("?key=x", "There is no such key"),
        ("?key=99999999999999999999", "There is no such key"),
        ("?state=lost", "There is no such state"),
        ("?model=gpt%00", "There is no such model"),
        ("?member=7777", "There is no such member"),
    ],
)
def test_what_cannot_be_meant_is_said_and_nothing_is_listed(browser_client, make_request, query, words):
    make_request()
    for page in ("/console/usage", "/console/usage.csv"):
        answer = browser_client.get(page + query)
        if page.endswith(".csv") and "366" in words:
            continue
        assert answer.status_code == 400
        assert words in answer.content.decode()
        assert "gen-" not in answer.content.decode()


@pytest.mark.parametrize("query", ["?before=%00&after='&by=requests", "?before=gen-x&by=session"])
def test_a_place_in_a_list_that_is_none_is_its_beginning(browser_client, make_request, query):
    make_request()
    assert browser_client.get(f"/console/usage{query}").status_code == 200


@pytest.fixture
def november(settings, customer, user, monkeypatch):
    """The account is in Shanghai, and it is there the last day of November 2026."""
    Customer.objects.update(time_zone="Asia/Shanghai")
    monkeypatch.setattr("console.usage.page.timezone.now", lambda: datetime(2026, 11, 30, 12, tzinfo=UTC))


def test_what_a_key_cost_last_month_takes_three_clicks(browser_client, make_request, customer, now, november):
    """Usage, "Last month", "Key"; and the CSV has the same sum."""
    other = issuing.issue(customer=customer, name="other", now=now)
    october = datetime(2026, 10, 31, 15, 59, tzinfo=UTC)  # 23:59 there
    for at in (october, datetime(2026, 9, 30, 16, tzinfo=UTC), october + timedelta(minutes=1)):
        make_request(of=other, at=at)
    make_request(at=october)
    page = browser_client.get("/console/usage").content.decode()
    [last] = re.findall(r'href="(\?range=last-month[^"]*)"', page)
    page = browser_client.get(f"/console/usage{unescape(last)}").content.decode()
    [by_key] = re.findall(r'href="(\?range=last-month&amp;by=key)"', page)
    page = browser_client.get(f"/console/usage{unescape(by_key)}").content.decode()
    rows = dict(re.findall(r">(ck-\w+)….*?<td class=\"r\">(\$[0-9.]+)", page, re.DOTALL))
    assert rows[other.key.prefix] == "$0.028350"
    assert "2026-10-01 – 2026-10-31" in page
    assert "Asia/Shanghai" in page
    [link] = re.findall(r'href="(/console/usage\.csv\?[^"]*)"', page)
    text = b"".join(browser_client.get(unescape(link)).streaming_content).decode()
    costs = [Decimal(line.rsplit(",", 1)[1]) for line in text.splitlines()[1:]]
    assert sum(costs) == Decimal("0.04252500")
    assert "$0.042525" in page


def test_sessions_are_listed_newest_first_with_what_they_came_to(
    browser_client, make_request, now, november, monkeypatch
):
    for minutes, session in enumerate(("one", "two", "one", None)):
        make_request(session=session, at=now + timedelta(minutes=minutes))
    page = browser_client.get("/console/usage?by=session").content.decode()
    assert re.findall(r"session=(\w+)\">", page) == ["one", "two"]
    assert "$0.028350" in page
    monkeypatch.setattr(sessions, "MOST_LOOKED_AT", 2)
    page = browser_client.get("/console/usage?by=session").content.decode()
    assert re.findall(r"session=(\w+)\">", page) == ["one"]
    [older] = re.findall(r'rel="next" href="([^"]+)"', page)
    page = browser_client.get(f"/console/usage{unescape(older)}").content.decode()
    assert re.findall(r"session=(\w+)\">", page) == ["two"]


def test_a_receipt_can_be_checked_by_hand(browser_client, make_request):
    generation = make_request()
    text = browser_client.get(f"/console/usage/{generation.pk}").content.decode()
    flat = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    assert "2,000 input × $3.00 / M $0.00600000" in flat
    assert "500 output × $15.00 / M $0.00750000" in flat
    assert "Service margin 5 % $0.00067500" in flat
    assert "Charged $0.01417500" in flat
    assert "+2.45 s" in flat
    assert "+0.9 s $0.05040000 returned" in flat
    assert "all of it from bonus" in flat


def test_a_receipt_of_cached_input_shows_its_own_price(browser_client, make_request):
    generation = make_request(usage=Usage(input_tokens=2000, output_tokens=0, cached_tokens=1500))
    text = re.sub(r"\s+", " ", browser_client.get(f"/console/usage/{generation.pk}").content.decode())
    assert "1,500 cached input × $0.30 / M" in text
    assert "500 input × $3.00 / M" in text


def test_a_receipt_says_what_was_not_charged_beyond_the_bound(browser_client, make_request):
    generation = make_request(bound="0.01")
    text = browser_client.get(f"/console/usage/{generation.pk}").content.decode()
    assert "not charged" in text
    assert "-$0.00417500" in text
    assert "$0.01000000" in text


def test_a_request_in_flight_says_what_it_may_cost_at_most(browser_client, make_request):
    generation = make_request(state="held")
    text = browser_client.get(f"/console/usage/{generation.pk}").content.decode()
    assert "not yet; at most $0.06457500" in text
    assert "in flight" in text


def test_a_released_request_cost_nothing_and_says_why(browser_client, make_request, now):
    generation = make_request(state="held")
    release([generation.pk], reason="abandoned", now=now)
    text = browser_client.get(f"/console/usage/{generation.pk}").content.decode()
    assert "$0.06457500 returned" in text
    assert "The loss is ours" in text


@pytest.mark.parametrize("path", ["gen-000000000000000000000000", "gen-%00", "topup", "gen-' OR 1=1"])
def test_what_is_no_request_of_mine_is_404(browser_client, catalog, path):
    answer = browser_client.get(f"/console/usage/{path}")
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_another_customers_receipt_does_not_exist_here(browser_client, make_request, make_customer, now):
    other = issuing.issue(customer=make_customer("5", name="Eve"), name="hers", now=now)
    generation = make_request(of=other)
    assert browser_client.get(f"/console/usage/{generation.pk}").status_code == 404


def test_a_receipt_names_what_did_not_go_upstream(browser_client, make_request):
    generation = make_request()
    page = browser_client.get(f"/console/usage/{generation.pk}").content.decode()
    assert "Tools taken out" not in page
    assert "Hints left out" not in page
    Generation.objects.update(left_out={"removed": ["web_search"], "ignored": ["metadata", "user"]})
    page = browser_client.get(f"/console/usage/{generation.pk}").content.decode()
    assert "<dt>Tools taken out</dt><dd>web_search</dd>" in page
    assert "<dt>Hints left out</dt><dd>metadata, user</dd>" in page
