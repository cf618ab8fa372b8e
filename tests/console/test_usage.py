"""/console/usage: the list with its filters and pages, and each request's receipt."""

import re
from datetime import timedelta

import pytest

from accounts.keys import issuing
from proxy.models import Generation
from proxy.prices.usage import Usage
from proxy.settlement.settle import release


@pytest.fixture
def listed(browser_client):
    """A function: the ids that a page of the list links to, in its order."""

    def ids(query: str = "") -> list[str]:
        text = browser_client.get(f"/console/usage{query}").content.decode()
        return re.findall(r'href="/console/usage/(gen-\w+)"', text)

    return ids


def test_requests_are_listed_newest_first(listed, make_request, now):
    made = [make_request(at=now + timedelta(seconds=n)).pk for n in range(3)]
    assert listed() == made[::-1]


def test_pages_lead_on_and_back(browser_client, make_request, listed, now):
    made = [make_request(at=now + timedelta(seconds=n), bound="0.02").pk for n in range(52)][::-1]
    text = browser_client.get("/console/usage").content.decode()
    [older] = re.findall(r'rel="next" href="([^"]+)"', text)
    assert listed() == made[:50]
    assert listed(older) == made[50:]
    text = browser_client.get(f"/console/usage{older}").content.decode()
    [newer] = re.findall(r'rel="prev" href="([^"]+)"', text)
    assert listed(newer) == made[:50]
    assert 'rel="next"' not in text


def test_a_session_is_shown_and_chosen_whatever_its_name(listed, make_request, browser_client):
    odd = "a/b&c=<i>?#%20"
    one, _other = make_request(session=odd).pk, make_request(session="b").pk
    receipt = browser_client.get(f"/console/usage/{one}").content.decode()
    [link] = re.findall(r'href="/console/usage(\?session=[^"]+)"', receipt)
    assert "a/b&amp;c=&lt;i&gt;?#%20" in receipt
    assert listed(link) == [one]
    assert "a/b&amp;c=&lt;i&gt;?#%20" in browser_client.get("/console/usage").content.decode()


def test_filters_by_day_model_key_and_state(listed, make_request, customer, now):
    other = issuing.issue(customer=customer, name="other", now=now)
    plain = make_request().pk
    nano = make_request(model="openai/gpt-4.1-nano").pk
    with_other = make_request(of=other).pk
    held = make_request(state="held").pk
    yesterday = make_request(at=now - timedelta(days=1)).pk
    assert set(listed("?day=2026-11-23")) == {plain, nano, with_other, held}
    assert listed("?day=2026-11-22") == [yesterday]
    assert listed("?model=openai/gpt-4.1-nano") == [nano]
    assert listed(f"?key={other.key.pk}") == [with_other]
    assert listed("?state=held") == [held]
    assert listed("?day=2026-11-23&state=held&model=openai/gpt-4.1-nano") == []


def test_a_quarantined_request_is_metered_to_its_customer(listed, make_request, browser_client):
    generation = make_request(state="metered")
    Generation.objects.update(state="quarantined")
    assert listed("?state=metered") == [generation.pk]
    assert "quarantined" not in browser_client.get(f"/console/usage/{generation.pk}").content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "?day=2026-02-30",
        "?day=soon",
        "?key=x",
        "?key=99999999999999999999",
        "?state=lost",
        "?model=%00",
        "?before=%00&after='",
        "?before=gen-x",
    ],
)
def test_what_cannot_be_meant_is_no_error(browser_client, make_request, query):
    make_request()
    assert browser_client.get(f"/console/usage{query}").status_code == 200


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
