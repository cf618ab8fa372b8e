"""Kinds of transfers and names of the house's accounts stand in one place each."""

import ast
import re
from decimal import Decimal
from pathlib import Path

import pytest

from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import LedgerError, Posting, house_account, post
from billing.models import Transfer
from tests.billing.conftest import table_is_written
from tests.conftest import NOW
from tests.test_architecture import APPS, sources

HEAD = "| kind | what it moves |\n|---|---|\n"


def test_the_books_take_no_other_kind(db):
    accounts = house_account(chart.bank("USD")), house_account(chart.clearing("stripe", "USD"))
    with pytest.raises(LedgerError, match="no transfer is of the kind payuot"):
        post([Posting("a", "payuot", *accounts, Decimal(1))], now=NOW)
    post([Posting("a", Kind.PAYOUT, *accounts, Decimal(1))], now=NOW)
    assert Transfer.objects.values_list("kind", flat=True).get() == "payout"


def test_the_page_lists_every_kind(repository):
    """`UPDATE=1 pytest tests/billing/books/test_kinds.py` writes it anew."""
    table_is_written(repository / "docs" / "ledger.md", HEAD, Kind)


def test_every_kind_is_posted_somewhere(repository):
    text = "".join(text for _file, text in sources(repository, *APPS))
    for kind in Kind:
        assert re.search(rf"\b(Kind|Transfers)\.{kind.name}\b", text), f"nobody posts {kind}"


NAMES = (*chart.IN_A_CURRENCY, "revenue:", "expense:", "receivable:", chart.IN_TRANSIT)


def names_made(text: str) -> list[str]:
    """Strings that begin as the name of a house's account does, whatever they end with, and SQL that quotes such."""
    tree = ast.parse(text)
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    quoted = [name for text in found for name in re.findall(r"'([a-z]+:[a-z_:]*)", text) if name.startswith(NAMES)]
    return [name for name in found if name.startswith(NAMES) and " " not in name] + quoted


def test_the_search_finds_a_name_made_by_hand():
    assert names_made('house_account("revenue:usage")') == ["revenue:usage"]
    assert names_made('house_account(f"clearing:{method}:{currency}")') == ["clearing:"]
    assert names_made("\"WHERE starts_with(name, 'clearing:')\"") == ["clearing:"]
    assert not names_made('"""clearing: what is on the way"""')


def test_an_account_is_named_in_one_place(repository):
    for file, text in sources(repository, *APPS):
        if file != Path("billing/books/chart.py"):
            assert not names_made(text), file


def test_a_name_says_whose_account_it_is():
    assert chart.of_providers(chart.clearing("stripe", "USD")) == ("stripe", "USD")
    assert chart.of_providers(chart.bank("USD")) is None
