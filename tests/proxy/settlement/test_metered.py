"""METER leaves out the columns that stay as admission wrote them, and its row is the same as if it had not."""

from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import connection

from proxy.models import Generation
from proxy.prices.sums import Cost
from proxy.prices.usage import Usage
from proxy.settlement.metered import AS_ADMITTED, COLUMNS, MANY, ONE, USUAL, Metered, update_of
from tests.conftest import NOW

USED = Usage(input_tokens=120, output_tokens=30, cached_tokens=100, reasoning_tokens=7)
RARE = [
    {"usage": replace(USED, cache_write_tokens=5)},
    {"usage": replace(USED, cache_write_1h_tokens=5)},
    {"usage": replace(USED, units=Decimal("1.5"))},
    {"usage": replace(USED, more={"input_audio": 7})},
    {"stated_cost": Decimal("0.25")},
    {"asked_tier": "flex"},
    {"factor": Decimal("0.8")},
]


@pytest.fixture
def record(make_generation):
    """A function: what became of a request that is held now."""

    def make(**changes) -> Metered:
        cost = Cost(upstream=Decimal("0.02"), charged=Decimal("0.01"))
        usual = Metered("", None, "upstream", "completed", "stop", USED, USED, cost, 40, 20, service_tier="default")
        return replace(usual, generation_id=make_generation(cost=None).pk, **changes)

    return make


def written(records: list[Metered], statement: tuple[str, list] | None = None) -> list[dict]:
    sql, parameters = statement or update_of([one.row() for one in records])
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        assert len(cursor.fetchall()) == len(records)
    return list(Generation.objects.filter(pk__in=[one.generation_id for one in records]).order_by("pk").values())


def test_what_is_left_out_is_as_admission_wrote_it(record):
    row = Generation.objects.filter(pk=record().generation_id).values(*[name for name, _ in COLUMNS[len(USUAL) :]])
    assert list(row.get().values()) == AS_ADMITTED


@pytest.mark.parametrize("changes", [{}, *RARE], ids=lambda changes: "".join(changes) or "usual")
@pytest.mark.parametrize("number", [1, 3])
def test_a_record_is_written_whole(record, changes, number):
    records = [record(**changes)] + [record() for _ in range(number - 1)]
    rows = {row["id"]: row for row in written(records)}
    for one in records:
        row = rows[one.generation_id]
        assert (row["state"], row["metered_at"] > NOW) == ("metered", True)
        said = dict(zip([name for name, _ in COLUMNS], one.row(), strict=True)) | {"more": one.usage.more}
        assert {name: row[name] for name in said} == said


@pytest.mark.parametrize("name", ["left_out", "terms"])
def test_a_charge_is_not_lost_for_what_no_jsonb_takes(record, name):
    [row] = written([record(**{name: {"removed": ["search\0"]}})])
    assert (row["state"], row["cost"], row[name]) == ("metered", Decimal("0.01"), None)


def test_the_usual_is_written_by_the_shorter_statements(record):
    usual, rare = record().row(), record(asked_tier="flex").row()
    assert update_of([usual])[0] not in (ONE, MANY)
    assert update_of([usual, usual])[0] not in (ONE, MANY)
    assert update_of([rare])[0] == ONE
    assert update_of([usual, rare])[0] == MANY
