"""The receipt of a credited top-up: what it says in both languages, who gets it, and that it never changes."""

from datetime import UTC, datetime, timedelta
from smtplib import SMTPException

import pytest
from django.core.mail import EmailMessage
from django.db import ProgrammingError, transaction
from django.utils import timezone

from accounts.keys import issuing
from billing import attachments
from billing.models import Mail, Paper
from billing.outbox import mail
from payments.models import TopUp
from payments.topups import receipts
from tests.billing.outbox.test_shown import order
from tests.conftest import NOW
from tests.outbox import mails
from tests.payments.topups.test_pages import browser
from tests.pdf_pages import read

PAID_AT = datetime(2026, 11, 20, 23, 30, 15, tzinfo=UTC)


@pytest.fixture
def topup(customer) -> TopUp:
    """20 USD by Alipay, with a fee."""
    made = order(
        customer,
        method="alipay",
        state="paid",
        charge_amount="145.25",
        charge_currency="CNY",
        fee_amount="2.85",
        fx_rate="7.12",
        transaction_id="t1",
        paid_at=PAID_AT,
        request={"locale": "zh-hans"},
    )
    made.refresh_from_db()
    return made


def key_of(customer) -> dict[str, str]:
    return {"Authorization": f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"}


def test_a_receipt_says_in_both_languages_what_was_paid(topup, drawing):
    english = receipts.receipt(topup, now=NOW, locale="en")
    [page] = read(bytes(english.content))
    for said in (
        "not a tax invoice",
        "142.40 CNY",
        "2.85 CNY",
        "0.00 CNY",
        "145.25 CNY",
        "20.00 USD",
        "7.12 CNY a USD",
    ):
        assert said in page
    for said in ("Alipay", topup.number, topup.customer.name, "2026-11-20 23:30:15 UTC"):
        assert said in page
    [page] = read(bytes(receipts.receipt(topup, now=NOW).content))
    for said in ("收款", "支付宝", "145.25 CNY", "手续费"):
        assert said in page


def test_a_receipt_is_made_once_and_never_changes(topup, client):
    headers = key_of(topup.customer)
    first = client.get(f"/v1/topups/{topup.number}/receipt.pdf", headers={**headers, "Accept": "application/pdf"})
    assert (first.status_code, first["Content-Type"], first.content[:5]) == (200, "application/pdf", b"%PDF-")
    TopUp.objects.update(refunded="5.00", refunded_charge="35.60")
    type(topup.customer).objects.update(name="Another name")
    again = client.get(f"/v1/topups/{topup.number}/receipt.pdf", headers=headers)
    assert again.content == first.content
    [paper] = Paper.objects.all()
    for change in (lambda: Paper.objects.update(number="x"), paper.delete):
        with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic():
            change()


def test_another_customers_receipt_and_that_of_an_unpaid_order_do_not_exist(topup, client, make_customer):
    eve = make_customer(name="Eve")
    path = f"/v1/topups/{topup.number}/receipt.pdf"
    assert client.get(path, headers=key_of(eve)).status_code == 404
    assert browser(eve).get(f"/console/topup/{topup.number}/receipt.pdf").status_code == 404
    unpaid = order(topup.customer, number="topup_2")
    answer = client.get(f"/v1/topups/{unpaid.number}/receipt.pdf", headers=key_of(topup.customer))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_the_page_of_a_credited_top_up_leads_to_its_receipt(topup):
    ada = browser(topup.customer)
    path = f"/console/topup/{topup.number}/receipt.pdf"
    assert path in ada.get(f"/console/topup/{topup.number}").content.decode()
    assert ada.get(path).content.startswith(b"%PDF-")


def test_owners_get_a_mail_with_the_receipt_of_what_is_credited(paid, mailoutbox, monkeypatch):
    letter = mails().get(about=paid.number)
    assert letter.subject == "Your top-up of $20.00 is credited"
    assert f"/console/topup/{paid.number}/receipt.pdf" in letter.body
    assert not Paper.objects.exists(), "it is drawn as the mail leaves"
    send = EmailMessage.send

    def refused(message):
        raise SMTPException

    monkeypatch.setattr(EmailMessage, "send", refused)
    assert mail.send_due(now=timezone.now()) == 0
    monkeypatch.setattr(EmailMessage, "send", send)
    for _ in range(2):
        mail.send_due(now=timezone.now() + timedelta(hours=1))
    [sent] = mailoutbox
    [(name, content, kind)] = sent.attachments
    assert (name, kind) == (f"receipt-{paid.number}.pdf", "application/pdf")
    assert content == bytes(Paper.objects.get().content)


def test_a_receipt_that_cannot_be_drawn_keeps_no_mail_back_and_the_desk_is_told(paid, mailoutbox, monkeypatch):
    mails()
    monkeypatch.setitem(attachments._makers, Paper.Kind.RECEIPT, lambda *given: 1 / 0)
    now = timezone.now()
    assert mail.send_due(now=now) == 1
    assert mail.send_due(now=now + timedelta(hours=3)) == 0
    assert (mailoutbox[0].attachments, len(mailoutbox)) == ([], 1)
    assert [row.about for row in Mail.objects.without_file(now=now)] == [paid.number]
    receipts.receipt(paid, now=now)
    assert not Mail.objects.without_file(now=now).exists(), "the link leads to one since"
