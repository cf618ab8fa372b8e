"""A receipt as a page: what was paid for a top-up. It is no invoice, and says so.

Drawn from what is kept of it and nothing else.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from billing.invoices.papers.sheet import FAINT, INK, MARGIN, WIDTH, Sheet, money


def render(facts: Mapping[str, Any], *, locale: str) -> bytes:
    """The receipt as a PDF; `facts` as `payments/topups/receipts.py` makes them."""
    with translation.override(locale):
        page = _Receipt(facts, locale)
        page.draw()
        return bytes(page.output())


class _Receipt(Sheet):
    def __init__(self, facts: Mapping[str, Any], locale: str) -> None:
        self.facts = facts
        super().__init__(
            heading=_("Receipt"),
            number=facts["number"],
            author=facts["seller"]["name"],
            locale=locale,
            made_at=datetime.fromisoformat(facts["paid_at"]),
        )

    def draw(self) -> None:
        facts = self.facts
        self.add_page()
        day = facts["paid_at"][:10]
        self.head(_("Receipt of payment, not a tax invoice"), [(_("Order"), facts["number"]), (_("Paid on"), day)])
        seller = facts["seller"]
        received = [seller["address"], seller["tax_id"] and _("Tax number: %(number)s") % {"number": seller["tax_id"]}]
        top = self.get_y()
        self._party(0, _("Received by"), seller["name"], received)
        end = self.get_y()
        self.set_y(top)
        self._party(1, _("Received from"), facts["payer"], [])
        self.set_y(max(end, self.get_y()) + 9)
        self.rows((130, 44), [_("Description"), _("Amount")], self._sums())
        self.rows((130, 44), [_("Payment"), ""], self._details())
        self.ink(FAINT, 9)
        notes = (
            _("This receipt says what was paid on that day. Refunds since then are told in your account."),
            _("It is not a tax invoice and not a fapiao. An invoice can be asked for in the console."),
        )
        for note in notes:
            self.block(MARGIN, WIDTH, note, 5)

    def _party(self, column: int, title: str, name: str, lines: list[str]) -> None:
        left, width = MARGIN + column * (WIDTH / 2 + 4), WIDTH / 2 - 4
        self.ink(FAINT, 9)
        self.block(left, width, title, 5)
        self.ink(INK, 11)
        self.block(left, width, name, 6)
        self.ink(INK, 9.5)
        for line in lines:
            if line:
                self.block(left, width, line, 5)

    def _sums(self) -> list[list[str]]:
        facts = self.facts
        charged = {name: money(Decimal(facts[name]), facts["currency"]) for name in ("base", "fee", "tax", "total")}
        return [
            [_("Prepaid credit, order %(order)s") % {"order": facts["number"]}, charged["base"]],
            [_("Fee"), charged["fee"]],
            [_("Tax"), charged["tax"]],
            [_("Total paid"), charged["total"]],
        ]

    def _details(self) -> list[list[str]]:
        facts = self.facts
        rows = [[_("Paid by"), facts["method"]], [_("Into the balance"), money(Decimal(facts["credit"]), "USD")]]
        if facts["rate"]:
            rows.append([_("Exchange rate"), _("%(rate)s CNY a USD") % {"rate": facts["rate"]}])
        rows.append([_("Time of the payment"), f"{facts['paid_at'][:19].replace('T', ' ')} UTC"])
        return rows
