"""Finance brings an upstream's bill at the desk and sees what differs, with the requests behind it."""

import html
import re
from datetime import UTC, datetime

import pytest
from django.core.cache import caches
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import StaffAction
from billing.models import Discrepancy
from desk.bills.panel import panels
from proxy.bills import work
from proxy.models import UpstreamBill
from tests.conftest import NOW
from tests.proxy.bills.conftest import asked, month, upstream
from tests.staffing import ROLES, at_desk, in_role

__all__ = ["asked", "month", "upstream"]
pytestmark = pytest.mark.django_db
DAY = datetime(2026, 10, 5, 9, tzinfo=UTC)
BRING = "admin:proxy_upstreambill_bring"
WRONG = "day,model,amount,request_id\n2026-10-05,gpt-4.1,0.90,a\n2026-10-05,gpt-4.1,0.30,zz\n"


@pytest.fixture
def finance(db) -> Client:
    caches["pages"].clear()
    return at_desk(in_role("finance"))


def brought(client: Client, place, content: str | bytes = WRONG, **more: str):
    raw = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile("bill.csv", raw)
    days = {"first": "2026-10-05", "last": "2026-10-05", "zone": "UTC", "code": ""}
    return client.post(reverse(BRING), {"upstream": str(place.pk), **days, "file": file, **more})


def text_of(answer) -> str:
    assert answer.status_code == 200
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", answer.content.decode())).split())


def test_a_file_is_brought_read_by_a_worker_and_shown_with_its_differences(finance, asked, upstream):
    one = asked(at=DAY, request_id="a")
    answer = brought(finance, upstream)
    bill = UpstreamBill.objects.get()
    assert answer.headers["Location"] == reverse("admin:proxy_upstreambill_change", args=[bill.pk])
    assert (bill.state, bill.name, bill.added_by.email) == ("waiting", "bill.csv", "finance@staff.example.org")
    assert StaffAction.objects.get(action="bring").object_id == str(bill.pk)
    assert work.finish_all(now=NOW) == 1
    page = finance.get(answer.headers["Location"])
    text = text_of(page)
    assert "2026-10-05 gpt-4-1 amount differs 0.90 0.20" in text
    assert "2026-10-05 gpt-4-1 missing here 0.30 0.00" in text
    assert f"{one.pk}" in text
    assert "By model" in text
    [requests] = {html.unescape(found) for found in re.findall(r'href="([^"]*id__gte[^"]*)"', page.content.decode())}
    assert one.pk in text_of(finance.get(requests))
    assert one.pk not in text_of(finance.get(requests.replace(f"upstream__in={upstream.pk}", "upstream__in=0")))


def test_bills_are_listed_with_their_drift(finance, asked, upstream):
    asked(at=DAY, request_id="a")
    brought(finance, upstream)
    work.finish_all(now=NOW)
    text = text_of(finance.get(reverse("admin:proxy_upstreambill_changelist")))
    assert "1.20 USD 0.20 USD 1.00 USD" in text
    assert "compared" in text


def test_a_bad_file_is_told_on_its_page(finance, upstream):
    answer = brought(finance, upstream, "day,amount\n2026-10-05,NaN\n")
    work.finish_all(now=NOW)
    text = text_of(finance.get(answer.headers["Location"]))
    assert "line 2: amount is no amount: 'NaN'" in text
    assert "unreadable" in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"zone": "Mars"}, "There is no such zone."),
        ({"last": "2026-10-04"}, "the days go from the first to the last"),
        ({"upstream": "999999"}, "Select a valid choice"),
        ({"code": "excel"}, "Select a valid choice"),
        ({"file": ""}, "This field is required."),
    ],
)
def test_what_cannot_be_is_said_in_the_form(finance, upstream, more, words):
    assert words in text_of(brought(finance, upstream, **more))
    assert not UpstreamBill.objects.exists()


def test_the_same_file_again_is_compared_again(finance, asked, upstream):
    brought(finance, upstream)
    work.finish_all(now=NOW)
    assert Discrepancy.objects.get().kind == "missing_here"
    asked(at=DAY, request_id="a", cost="0.90")
    asked(at=DAY, request_id="zz", cost="0.30")
    brought(finance, upstream)
    work.finish_all(now=NOW)
    assert UpstreamBill.objects.get().differences == 0
    assert Discrepancy.objects.get().state == "cured"
    bill = UpstreamBill.objects.get()
    again = reverse("admin:proxy_upstreambill_again", args=[bill.pk])
    assert "With what our requests cost by now" in text_of(finance.get(again))
    assert UpstreamBill.objects.get().state == "compared"
    finance.post(again)
    assert UpstreamBill.objects.get().state == "read"


def test_a_difference_leads_to_the_bill_that_tells_it(finance, upstream):
    brought(finance, upstream)
    work.finish_all(now=NOW)
    bill, row = UpstreamBill.objects.get(), Discrepancy.objects.get()
    page = finance.get(reverse("admin:payments_discrepancy_change", args=[row.pk])).content.decode()
    assert reverse("admin:proxy_upstreambill_change", args=[bill.pk]) in page


@pytest.mark.parametrize("role", ROLES)
def test_finance_alone_brings_bills(upstream, role):
    client = at_desk(in_role(role))
    may = role == "finance"
    assert client.get(reverse(BRING)).status_code == (200 if may else 403)
    assert brought(client, upstream).status_code == (302 if may else 403)
    work.finish_all(now=NOW)
    for bill in UpstreamBill.objects.all():
        assert client.post(reverse("admin:proxy_upstreambill_again", args=[bill.pk])).status_code == 302
    assert UpstreamBill.objects.filter(state="read").count() == int(may)


def test_the_first_page_shows_the_drift_of_each_upstream_where_there_is_any(finance, asked, upstream):
    assert list(panels()) == []
    asked(at=DAY, request_id="a", cost="0.90")
    brought(finance, upstream)
    work.finish_all(now=NOW)
    [panel] = panels()
    [figure] = panel.figures
    assert (figure.label, figure.value, figure.tone) == ("main to 2026-10-05", "0.30 USD, open: 1", "bad")
    assert "main to 2026-10-05" in text_of(finance.get("/admin/"))
    asked(at=DAY, request_id="zz", cost="0.30")
    brought(finance, upstream)
    work.finish_all(now=NOW)
    assert list(panels()) == []


def test_a_file_that_nobody_reads_turns_the_first_page_red(finance, upstream):
    brought(finance, upstream)
    assert list(panels()) == []
    UpstreamBill.objects.update(added_at=NOW.replace(year=2020))
    [panel] = panels()
    assert [(one.label, one.value, one.tone) for one in panel.figures] == [("Bills that wait to be read", "1", "bad")]


def test_a_page_shows_the_largest_of_many_differences(finance, month, upstream):
    content = "day,model,amount\n" + "".join(f"2026-10-{1 + n % 31:02d},m{n},{n + 1}\n" for n in range(150))
    brought(finance, upstream, content, first="2026-10-01", last="2026-10-31")
    work.finish_all(now=NOW)
    text = text_of(finance.get(reverse("admin:proxy_upstreambill_change", args=[UpstreamBill.objects.get().pk])))
    assert "m149 missing here 150.00" in text
    assert "The 100 largest" in text
