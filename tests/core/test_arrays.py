"""What is written as an array comes out of PostgreSQL as it went in."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.arrays import array, columns
from proxy.models import Generation

pytestmark = pytest.mark.django_db
QUICK = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def through(kind: str, values: list[object]) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [array(values)])
        found: list[object] = cursor.fetchone()[0]
        return found


@QUICK
@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_any_text(values):
    assert through("text", values) == values


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", ["NULL", "null", "", " ", "{", "}", ",", '"', "\\", 'a"b\\c', "two\nlines", "\ttab ", "锤子"]),
        ("bigint", [0, -1, 2**63 - 1, None]),
        ("numeric", [Decimal("0.00000001"), Decimal("1E-8"), Decimal("-99999999.12345678"), Decimal("1E+3")]),
        ("bool", [True, False, None]),
        ("date", [date(2026, 11, 27), None]),
        ("timestamptz", [datetime(2026, 11, 27, 1, 2, 3, 456789, tzinfo=UTC)]),
        ("text", [Generation.Reason.COMPLETED]),
    ],
)
def test_each_kind(kind, values):
    assert through(kind, values) == values


def test_rows_become_columns():
    assert columns([(1, "a"), (2, None)]) == ["{1,2}", '{"a",NULL}']


def test_what_has_no_text_of_its_own_is_refused():
    with pytest.raises(TypeError, match="float"):
        array([1.5])
