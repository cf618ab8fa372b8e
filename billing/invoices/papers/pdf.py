"""Our own document as a page: a commercial invoice (账单, 非税务发票) or the credit note that takes one back.

Drawn from what the document's row says and nothing else, so that a document drawn again says the same.
"""

import json
from decimal import Decimal
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from fpdf.enums import XPos, YPos

from billing.invoices.papers.sheet import FAINT, INK, MARGIN, WIDTH, Sheet, money, shown
from billing.models import Document
from billing.months.periods import day_of

DRAWN = (
    *("kind", "number", "currency", "gross", "net", "tax", "tax_rate"),
    *("seller", "buyer", "lines", "reason", "locale", "issued_at"),
)
REMEMBERED = 16
_drawn: dict[str, bytes] = {}


def render(document: Document) -> bytes:
    """The document as a PDF with its fonts inside, in the document's language. Takes a third of a second once."""
    contents = _contents(document)
    found = _drawn.get(contents)
    if found is None:
        with translation.override(document.locale):
            page = _Page(document)
            page.draw()
            found = bytes(page.output())
        while len(_drawn) >= REMEMBERED:
            _drawn.pop(next(iter(_drawn)), None)
        _drawn[contents] = found
    return found


def _contents(document: Document) -> str:
    """All that the page is drawn from."""
    said = {name: getattr(document, name) for name in DRAWN}
    first = document.refers_to.number if document.refers_to is not None else ""
    return json.dumps({**said, "first": first}, default=str, sort_keys=True)


class _Page(Sheet):
    def __init__(self, document: Document) -> None:
        self.document = document
        self.is_credit = document.kind == Document.Kind.CREDIT_NOTE
        super().__init__(
            heading=_("Credit note") if self.is_credit else _("Commercial invoice"),
            number=document.number,
            author=str(document.seller["name"]),
            locale=document.locale,
            made_at=document.issued_at,
        )

    def draw(self) -> None:
        self.add_page()
        self._head()
        self._parties()
        self._lines()
        self._totals()
        self._notes()

    def _head(self) -> None:
        document = self.document
        rows = [(_("Number"), document.number), (_("Date"), day_of(document.issued_at).isoformat())]
        if document.refers_to is not None:
            rows.append((_("Takes back"), document.refers_to.number))
        self.head(_("Not a fapiao (非税务发票)"), rows)

    def _parties(self) -> None:
        seller, buyer = self.document.seller, self.document.buyer
        top, ends = self.get_y(), []
        columns = (
            (_("Seller"), seller["name"], [seller["address"]], seller["tax_id"], seller["contact"]),
            (_("Buyer"), buyer["name"], [buyer["billing_address"]], buyer["tax_id"], ""),
        )
        for number, (title, name, lines, tax_id, contact) in enumerate(columns):
            left, width = MARGIN + number * (WIDTH / 2 + 4), WIDTH / 2 - 4
            self.set_xy(left, top)
            self.ink(FAINT, 9)
            self.block(left, width, title, 5)
            self.ink(INK, 11)
            self.block(left, width, str(name), 6)
            self.ink(INK, 9.5)
            country = str(buyer["country"]) if title == _("Buyer") else ""
            for line in [*lines, country, contact]:
                if line:
                    self.block(left, width, str(line), 5)
            if tax_id:
                self.block(left, width, _("Tax number: %(number)s") % {"number": tax_id}, 5)
            ends.append(self.get_y())
        self.set_y(max(ends) + 9)

    def _lines(self) -> None:
        self.rows(
            (88, 26, 26, 34),
            [_("Description"), _("Paid on"), _("Paid by"), _("Amount")],
            [
                [
                    _("Prepaid credit, order %(order)s") % {"order": line["label"]},
                    line["paid_on"],
                    line["method_name"],
                    money(Decimal(line["gross"]), self.document.currency),
                ]
                for line in self.document.lines
            ],
        )

    def _totals(self) -> None:
        document = self.document
        if document.net is None or document.tax is None or document.tax_rate is None:
            raise ValueError("a document of ours says its tax")
        rate = f"{(document.tax_rate * 100).normalize():f}"
        tax = _("%(tax)s, %(rate)s%%") % {"tax": document.seller["tax_name"], "rate": rate}
        rows = [(_("Net"), document.net), (tax, document.tax), (_("Total"), document.gross)]
        if self.will_page_break(30):
            self.add_page()
        for number, (name, amount) in enumerate(rows):
            is_total = number == len(rows) - 1
            self.set_x(MARGIN + WIDTH * 0.5)
            self.ink(INK if is_total else FAINT, 12 if is_total else 9.5)
            height = 9 if is_total else 6
            border: Any = "T" if is_total else 0
            self.cell(WIDTH * 0.25, height, shown(name), border=border)
            self.ink(INK, 12 if is_total else 9.5)
            text = money(amount, document.currency)
            self.cell(WIDTH * 0.25, height, text, border=border, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(8)

    def _notes(self) -> None:
        document = self.document
        paid = _("Prices include tax. This amount is paid; nothing is due.")
        notes = [
            document.seller["tax_note"],
            _("Reason: %(reason)s") % {"reason": document.reason} if document.reason else "",
            _("Remark: %(remark)s") % {"remark": document.buyer["remark"]} if document.buyer["remark"] else "",
            paid if not self.is_credit else "",
            _("This is a commercial document for your records. It is not a fapiao and cannot be used as one."),
        ]
        self.ink(FAINT, 9)
        for note in notes:
            if note:
                self.block(MARGIN, WIDTH, str(note), 5)
