"""The staff's first page, its search, a customer's story, and how long they take to ask for."""

import html
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import User
from billing import invoices, refunds
from billing.models import InvoiceRequest, LedgerAccount, Mail, Wallet
from billing.months import journal
from core.web import streaming
from payments.models import RefundPart, TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.topups import orders
from tests.outbox import mails

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(db):
    caches["pages"].clear()
    client = Client()
    client.force_login(User.objects.create_superuser("desk@example.org", "a rather long one"))
    return client


@pytest.fixture
def paid(customer):
    now = timezone.now()
    topup = TopUp.objects.create(
        customer=customer,
        number="topup_1",
        method="alipay",
        amount=Decimal("20.00"),
        charge_amount=Decimal("142.40"),
        charge_currency="CNY",
        fx_rate=Decimal("7.12"),
        expires_at=now,
    )
    fact = PaymentFact(Outcome.OK, topup.number, "2026112322001", Decimal("142.40"), "CNY", is_ours=True)
    orders.credit(topup_id=topup.pk, fact=fact, now=now)
    return topup


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


def test_the_first_page_shows_what_is_due_owed_and_wrong(desk, customer, paid):
    refund = refunds.ask(customer=customer, amount="4.00", reason="test", now=timezone.now() - timedelta(days=9))
    Wallet.objects.filter(pk=customer.pk).update(paid=Decimal(19))
    journal.run_audit(now=timezone.now())
    page = text_of(desk.get("/admin/"))
    overdue = "/admin/billing/refundrequest/?queue=overdue"
    assert f'Refunds overdue</dt><dd class="desk-bad"><a href="{overdue}">1</a>' in page
    assert "Paid balance</dt><dd><a" in page
    assert "$19.00" in page
    assert "alipay:CNY</dt>" in page
    assert "142.40 CNY" in page
    assert refund.number in text_of(desk.get(overdue))
    assert 'Drifts</dt><dd class="desk-bad">' in page


def test_the_first_page_counts_anew_after_an_act_and_the_next_in_the_queue_is_a_click_away(desk, customer, paid):
    first, second = (
        refunds.ask(customer=customer, amount="1.00", reason=why, now=timezone.now()) for why in ("one", "two")
    )
    assert re.search(r"Refunds at the desk</dt><dd[^>]*><a[^>]*>2<", text_of(desk.get("/admin/")))
    page = text_of(desk.get(f"/admin/billing/refundrequest/{first.pk}/change/"))
    assert first.number in page
    assert f'href="/admin/billing/refundrequest/{second.pk}/change/"' in page.partition("Next in the queue")[2]
    desk.post(f"/admin/billing/refundrequest/{first.pk}/act/deny", {"words": "Spent."})
    assert re.search(r"Refunds at the desk</dt><dd[^>]*><a[^>]*>1<", text_of(desk.get("/admin/")))
    assert "Next in the queue" not in text_of(desk.get(f"/admin/billing/refundrequest/{second.pk}/change/"))


@pytest.mark.parametrize("is_audited", [False, True])
def test_every_figure_of_the_first_page_links_to_its_rows(desk, customer, paid, is_audited):
    if is_audited:
        journal.run_audit(now=timezone.now())
    page = text_of(desk.get("/admin/"))
    figures = re.findall(r"<dd[^>]*>(.*?)</dd>", page)
    links = [re.match(r'<a href="([^"]+)">', figure) for figure in figures]
    assert len(figures) > 25
    assert None not in links
    for address in {html.unescape(link[1]) for link in links}:
        assert desk.get(address).status_code == 200, address


@pytest.mark.parametrize("name", ["topup_1", "2026112322001", "topup:1:USD", "ADA@example.org", "ck-", "refund_"])
def test_anything_is_found_by_its_full_name(desk, customer, paid, user, name):
    if name == "ck-":
        name = issuing.issue(customer=customer, name="k", now=timezone.now()).text
    if name == "refund_":
        name = refunds.ask(customer=customer, amount="4.00", reason="test", now=timezone.now()).number
    if name == "topup:1:USD":
        name = f"topup:{paid.pk}:USD"
    assert "/change/" in desk.get("/admin/", {"q": name})["Location"]


def test_the_story_tells_of_questions_ends_and_letters(desk, customer, paid):
    now, staff = timezone.now(), User.objects.get(email="desk@example.org")
    refund = refunds.ask(customer=customer, amount="4.00", reason="x", now=now)
    refunds.ask_back(refund_id=refund.pk, question="Which account?", by=staff, now=now)
    refunds.answer(refund_id=refund.pk, text="The old one", now=now)
    refunds.cancel(refund_id=refund.pk, now=now + timedelta(minutes=1))
    asked = {"company_name": "Ada", "buyer_kind": "individual", "delivery": "post", "mailing_address": "1 Road"}
    first, second = (invoices.ask(customer=customer, amount="1.00", now=now, **asked) for _ in range(2))
    invoices.cancel(request_id=first.pk, now=now)
    InvoiceRequest.objects.filter(pk=second.pk).update(posted_at=now, carrier="DHL", tracking="JD01")
    page = text_of(desk.get(reverse("admin:accounts_customer_story", args=[customer.pk])))
    for words in (
        "Which account? → The old one",
        f"{refund.number}: cancelled",
        f"{first.number}: cancelled",
        "DHL JD01",
    ):
        assert words in page


@pytest.mark.parametrize("name", ["nothing-of-this-name", "'; DROP TABLE", "gen-" + "x" * 24, "\0", "%", "a" * 5000])
def test_what_is_not_there_is_said(desk, customer, name):
    assert desk.get("/admin/", {"q": name}).status_code == 200


def test_figures_lead_to_the_rows_they_count(desk, customer, paid):
    now = timezone.now()
    written = now - timedelta(days=3)
    given_up = Mail.objects.create(
        customer=customer, to="a@b.co", about="refund_x", subject="Given up", body="", attempts=30, created_at=written
    )
    Mail.objects.create(
        customer=customer, to="a@b.co", about="y", subject="Went", body="", attempts=1, sent_at=now, created_at=written
    )
    refund = refunds.ask(customer=customer, amount="4.00", reason="x", now=now)
    parts = {"key": "part_1", "state": "parked", "amount": 4, "charge_amount": 4, "by_bank": True}
    RefundPart.objects.create(refund=refund, number=1, **parts)
    page = text_of(desk.get("/admin/"))

    def rows(label: str) -> str:
        link, count = re.search(rf'{label}</dt><dd[^>]*><a href="([^"]+)">([^<]+)<', page).groups()
        assert count == "1"
        return text_of(desk.get(html.unescape(link)))

    listed = rows("Mail that does not leave")
    assert (given_up.subject in listed, "Went" in listed) == (True, False)
    assert refund.number in rows("Parked refund parts")
    account = LedgerAccount.objects.get(name="clearing:alipay:CNY")
    shown = text_of(desk.get(reverse("admin:billing_ledgeraccount_change", args=[account.pk])))
    assert "142.40 CNY" in shown
    for link in re.findall(r'href="([^"]+(?:debit|credit|account)__id__exact=\d+)"', shown):
        assert desk.get(html.unescape(link)).status_code == 200
    debited = text_of(desk.get(f"/admin/billing/transfer/?debit__id__exact={account.pk}"))
    assert f"topup:{paid.pk}:CNY" in debited


@pytest.mark.django_db(transaction=True)
async def test_the_journal_leaves_piece_by_piece_over_asgi(customer, paid, monkeypatch):
    monkeypatch.setattr(streaming, "LINES", 1)
    staff = await sync_to_async(User.objects.create_superuser)("asgi@example.org", "a rather long one")
    client = AsyncClient()
    await client.aforce_login(staff)
    answer = await client.get(reverse("admin:billing_transfer_export"), {"month": f"{timezone.now():%Y-%m}"})
    pieces = [piece async for piece in answer.streaming_content]
    assert len(pieces) == 4  # the names of the columns, a grant and two transfers
    assert b"clearing:alipay:CNY" in pieces[2]


def test_a_customers_story_tells_it_in_order(desk, customer, paid, user):
    refund = refunds.ask(customer=customer, amount="4.00", reason="moving on", now=timezone.now())
    refunds.deny(refund_id=refund.pk, words="no", by=User.objects.get(email="desk@example.org"), now=timezone.now())
    mails()
    page = text_of(desk.get(reverse("admin:accounts_customer_story", args=[customer.pk])))
    assert page.index("moving on") < page.index("142.40 CNY")
    assert "We received your refund request (not sent)" in page
    assert "denied. no" in page
    assert "We received your refund request" in page


def test_the_journal_of_a_month_is_downloaded(desk, customer, paid):
    now = timezone.now()
    answer = desk.get(reverse("admin:billing_transfer_export"), {"month": f"{now:%Y-%m}"})
    assert answer["Content-Disposition"] == f'attachment; filename="journal-{now:%Y-%m}.csv"'
    assert f"topup:{paid.pk}:USD" in b"".join(answer.streaming_content).decode()
    for wrong in ("2026-13", "x", "0000-01", "2026-1"):
        assert desk.get(reverse("admin:billing_transfer_export"), {"month": wrong}).status_code == 302


def test_staff_see_only_the_panels_of_what_they_may_see(client, db):
    client.force_login(User.objects.create_user("new@example.org", "a rather long one", is_staff=True))
    page = text_of(client.get("/admin/"))
    assert "What we owe customers" not in page
    assert "Choose a subject" in page
