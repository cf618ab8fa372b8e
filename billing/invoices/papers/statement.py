"""A closed month of an account as a page, drawn from the statement that is kept and nothing else."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from billing.invoices.papers.sheet import FAINT, MARGIN, WIDTH, Sheet
from billing.statements.lines import LINES
from billing.statements.usage import Table, called, tables


def render(facts: Mapping[str, Any], *, locale: str) -> bytes:
    """The statement as a PDF; `facts` are the statement, the account's name and its SHA-256."""
    with translation.override(locale):
        page = _Statement(facts, locale)
        page.draw()
        return bytes(page.output())


class _Statement(Sheet):
    def __init__(self, facts: Mapping[str, Any], locale: str) -> None:
        self.facts, self.said = facts, facts["statement"]
        super().__init__(
            heading=_("Statement"),
            number=self.said["month"],
            author="Chuizi",
            locale=locale,
            made_at=datetime.fromisoformat(self.said["closes_at"]),
        )

    def draw(self) -> None:
        said = self.said
        self.add_page()
        self.head(
            _("Movements of a month, no invoice"), [(_("Month"), said["month"]), (_("Account"), self.facts["name"])]
        )
        span = _("From %(first)s to %(last)s (UTC), time zone %(zone)s")
        times = {name: said[key][:16].replace("T", " ") for name, key in (("first", "opens_at"), ("last", "closes_at"))}
        self.ink(FAINT, 9)
        self.block(MARGIN, WIDTH, span % {**times, "zone": said["time_zone"]}, 5)
        self.ln(4)
        self.rows((104, 24, 46), [_("Description"), _("How many"), _("Amount")], self._lines())
        used = said["usage"]
        charged = [
            [_("From paid balance"), "", usd(used["from_paid"])],
            [_("From bonus"), "", usd(used["from_bonus"])],
            [_("Charged for requests"), "", usd(used["charged"])],
        ]
        self.rows((104, 24, 46), [_("Usage, when it was charged"), "", ""], charged)
        for table in tables(used):
            total = [_("Charged for requests"), "", usd(used["charged"])]
            self.rows((104, 24, 46), [table.title, _("Requests"), _("Charged")], [*_used(table), total])
        self.ink(FAINT, 9)
        self.block(MARGIN, WIDTH, f"SHA-256 {self.facts['sha256']}", 5)

    def _lines(self) -> list[list[str]]:
        rows = [[_("Opening balance"), "", usd(self.said["opening"])]]
        for line in self.said["lines"]:
            name = str(LINES[line["kind"]])
            for fee in line["fees"]:
                text = _("fee on top: %(amount)s %(currency)s")
                name += "\n" + text % {"amount": f"{Decimal(fee['amount']):,.2f}", "currency": fee["currency"]}
            for one in line.get("months", []):
                if one["month"]:
                    name += "\n" + _("of %(month)s: %(amount)s") % {"month": one["month"], "amount": usd(one["amount"])}
            rows.append([name, str(line["count"]), usd(line["amount"])])
        return [*rows, [_("Closing balance"), "", usd(self.said["closing"])]]


def _used(table: Table) -> Iterator[list[str]]:
    for row in table.rows:
        yield [called(row), str(row["requests"]), usd(row["charged"])]
    if table.more:
        yield [table.more_words, str(table.more_requests), usd(table.more_charged)]
    if table.rest:
        yield [f"{called(table.rest)}\n{table.rest_words}", "", usd(table.rest["charged"])]


def usd(text: str) -> str:
    return f"{Decimal(text):,.8f} USD"
