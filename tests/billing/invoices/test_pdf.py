"""The page itself: drawn in both languages, read back, and drawn again with names that want to break it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from billing import invoices
from billing.invoices.papers import pdf
from billing.models import Document, Wallet
from tests.billing.conftest import in_threads
from tests.billing.invoices.invoice_steps import CREDIT_CODE, ask, clerk, issue, payments, series
from tests.conftest import NOW
from tests.pdf_pages import opened, read

__all__ = ["clerk", "payments", "series"]

pytestmark = pytest.mark.usefixtures("drawing")

A4 = (595, 842)


def ink(content: bytes) -> tuple[int, int, int, int]:
    """The box around everything that is not white on the first page, in hundredths of the page's size."""
    with opened(content) as document:
        page = document[0]
        bitmap = page.render(scale=1)
        picture = bitmap.to_pil().convert("L")
        page.close()
    left, top, right, bottom = picture.point(lambda shade: 255 if shade < 250 else 0).getbbox()
    width, height = picture.size
    return 100 * left // width, 100 * top // height, 100 * right // width, 100 * bottom // height


def drawn(**values: Any) -> bytes:
    seller = {"name": "Chuizi", "address": "Street 1", "tax_id": "", "contact": "", "tax_name": "VAT", "tax_note": ""}
    buyer = {"name": "Ada GmbH", "billing_address": "", "tax_id": "12345", "country": "DE", "remark": ""}
    line = {"label": "topup_1", "paid_on": "2026-11-20", "method_name": "Card", "gross": "20.00"}
    count = values.pop("count", 1)
    return pdf.render(
        Document(
            **{
                "kind": "invoice",
                "number": "CZ-000001",
                "currency": "USD",
                "gross": Decimal("20.00") * count,
                "net": Decimal("18.00") * count,
                "tax": Decimal("2.00") * count,
                "tax_rate": Decimal("0.1000"),
                "seller": seller | values.pop("seller", {}),
                "buyer": buyer | values.pop("buyer", {}),
                "lines": [line] * count,
                "locale": "en",
                "issued_at": datetime(2026, 11, 23, 12, tzinfo=UTC),
                **values,
            }
        )
    )


@pytest.mark.django_db
def test_an_english_invoice_says_who_what_and_how_much(customer, payments, clerk, series):
    payments.add(customer, "1020.00")
    payments.add(customer, "216.00")
    document = issue(ask(customer, "1236.00", billing_address="Street 1\n10115 Berlin", remark="PO 7"), clerk)
    [page] = read(bytes(document.content))
    for words in (
        *("Commercial invoice", "Not a fapiao (非税务发票)", "CZ2026-000001", "2026-11-23"),
        *("Chuizi Cloud Ltd", "100 Century Avenue, Shanghai", f"Tax number: {CREDIT_CODE}", "Simplified taxation."),
        *("Ada GmbH", "Street 1\n10115 Berlin", "PO 7"),
        *("topup_0001 2026-11-20 Card 1,020.00 USD", "topup_0002 2026-11-20 Card 216.00 USD"),
        *("Net 1,166.04 USD", "VAT, 6% 69.96 USD", "Total 1,236.00 USD"),
    ):
        assert words in page, words


@pytest.mark.django_db
def test_a_chinese_invoice_is_a_zhangdan_and_says_that_it_is_no_fapiao(customer, payments, clerk, series):
    payments.add(customer, "106.00", currency="CNY")
    request = ask(customer, "106.00", company_name="北京示例科技有限公司", locale="zh-hans")
    [page] = read(bytes(issue(request, clerk).content))
    assert page.startswith("账单\n非税务发票")
    for words in (
        "锤子云计算有限公司",
        "上海市世纪大道 100 号",
        "北京示例科技有限公司",
        "增值税 6%",
        "价税合计 106.00 CNY",
    ):
        assert words in page, words
    assert "invoice" not in page.lower()


def test_a_document_tells_the_days_of_the_books(customer, payments, clerk, series, settings):
    """So that it stands in the month in which the journal has what it is about."""
    settings.BOOKS_TIME_ZONE = ZoneInfo("Pacific/Kiritimati")  # noon in UTC is tomorrow there
    payments.add(customer, "20.00")
    document = issue(ask(customer, "20.00"), clerk)
    assert (NOW.date().isoformat(), document.lines[0]["paid_on"]) == ("2026-11-23", "2026-11-21")
    assert "2026-11-24" in read(drawn(issued_at=NOW))[0]


@pytest.mark.django_db
@pytest.mark.parametrize(("locale", "title"), [("en", "Credit note"), ("zh-hans", "贷项通知单")])
def test_a_credit_note_names_what_it_takes_back(customer, payments, clerk, series, locale, title):
    payments.add(customer)
    request = ask(customer, locale=locale)
    issue(request, clerk)
    note = invoices.credit(request_id=request.pk, amount="10.60", reason="Refunded", by=clerk, now=NOW)
    [page] = read(bytes(note.content))
    for words in (title, "CZ2026-000002", "CZ2026-000001", "-10.60 USD", "-10.00 USD", "-0.60 USD", "Refunded"):
        assert words in page, words


def test_the_page_is_a4_with_its_fonts_inside_and_its_margins_white():
    content = drawn()
    with opened(content) as document:
        assert tuple(round(side) for side in document[0].get_size()) == A4
        assert document.get_metadata_dict()["Title"] == "Commercial invoice CZ-000001"
    assert content.count(b"/FontFile") >= 1
    assert len(content) < 60_000
    left, top, right, bottom = ink(content)
    assert 7 <= left <= 9 <= right <= 92
    assert 4 <= top <= bottom <= 96


HOSTILE = {
    "long": "W" * 200,
    "long Chinese": "长" * 200,
    "many words": "Gesellschaft mit " * 11,
    "newlines": "one\ntwo\r\nthree\n\n\n" * 6,
    "emoji": "Ada 😀👩‍💻🏳️‍🌈 Ltd",
    "right to left": "שלום عالم \u202eAda\u202c",
    "controls": "Ada\x00\x07\x1b[31m\u2028",
    "lone surrogate": "Ada \ud800",
    "marks": "A" + "\u0301" * 80,
    "markup": "<b>Ada</b> **Ada** ${7*7} {{7*7}} {n} \\(Ada\\) %s %(x)s",
    "private and unassigned": "\ue000\U0010ffff\ufffe",
    "nothing": "",
    "spaces": " \t ",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("locale", ["en", "zh-hans"])
def test_a_hostile_name_neither_breaks_the_page_nor_leaves_it(name, locale):
    everywhere = {"name": name, "billing_address": name, "tax_id": name[:40], "remark": name}
    content = drawn(buyer=everywhere, locale=locale, seller={"name": name, "tax_note": name[:300]}, reason=name[:300])
    assert "20.00 USD" in "".join(read(content))
    left, _top, right, _bottom = ink(content)
    assert 7 <= left <= right <= 92


def test_letters_of_many_scripts_are_drawn_and_what_is_not_shows_as_a_box():
    [page] = read(drawn(buyer={"name": "Żółć Ğış Ångström Ελλάς Москва 東京 한국 😀"}))
    for word in ("Żółć", "Ğış", "Ångström", "Ελλάς", "Москва", "東京"):
        assert word in page, word
    assert "□" in page


def test_markup_in_a_name_stays_text():
    [page] = read(drawn(buyer={"name": "<b>Ada</b> **x** %(y)s"}))
    assert "<b>Ada</b> **x** %(y)s" in page


def test_many_payments_fill_pages_that_say_which_they_are():
    pages = read(drawn(count=70))
    assert len(pages) == 3
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of 3" in page
        assert "Description" in page
    assert "".join(pages).count("topup_1") == 70
    assert "Total 1,400.00 USD" in pages[-1]


def test_the_same_facts_are_drawn_to_the_same_bytes_whatever_was_drawn_between(monkeypatch):
    monkeypatch.setattr(pdf, "REMEMBERED", 3)
    monkeypatch.setattr(pdf, "_drawn", {})
    first = drawn()
    for number in range(5):
        drawn(number=f"CZ-{number:06d}")
    assert len(pdf._drawn) == 3
    monkeypatch.setattr(pdf, "_drawn", {})
    assert drawn() == first
    assert drawn(number="CZ-000002") != first


@pytest.mark.django_db(transaction=True)
def test_a_page_is_drawn_before_the_wallet_is_locked_and_only_once(customer, payments, clerk, series, monkeypatch):
    payments.add(customer)
    request = ask(customer)
    draw, seen = pdf._Page.draw, []

    def lock_the_wallet() -> None:
        with transaction.atomic():
            Wallet.objects.select_for_update(nowait=True).get(customer=customer)

    def watched(page: Any) -> None:
        seen.extend(in_threads(lock_the_wallet))
        draw(page)

    monkeypatch.setattr(pdf._Page, "draw", watched)
    monkeypatch.setattr(pdf, "_drawn", {})  # another test may have drawn the same
    issue(request, clerk)
    invoices.credit(request_id=request.pk, amount="5.00", reason="Refunded", by=clerk, now=NOW)
    assert seen == [None, None]
