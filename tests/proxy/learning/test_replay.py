"""The figures that estimates have to hold, over sessions of agents."""

import pytest

from proxy.learning import rows
from tests.proxy.learning.replay import HEAD, PLACES, Replay


@pytest.mark.django_db
@pytest.mark.parametrize("where", PLACES, ids=lambda where: where.name)
def test_estimates_are_at_most_twice_the_cost_and_below_it_in_less_than_one_of_a_hundred(where):
    def known(customer: int):
        found, _ = rows.find([(customer, 1)], [])
        return found.get((customer, 1))

    table = Replay(where, customers=3, sessions=5).run(lambda lesson: rows.write([lesson]), known)
    print("", HEAD, *table, sep="\n")
    before, during, after = table
    assert before.ratio > 4
    assert during.ratio <= 2.5
    assert after.ratio <= 2
    assert after.below < after.requests / 100
    assert after.estimated <= after.held <= after.bound
    assert not after.refused
