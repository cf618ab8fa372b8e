"""What of uploads a process keeps at once: within its budget and each customer's."""

import pytest

from proxy.errors import Refusal
from proxy.uploads.budget import MOST_OF_CUSTOMER, UploadBudget


def test_a_customer_fills_no_more_than_a_share_and_gives_it_back():
    budget = UploadBudget(most=100, most_of_customer=60)
    one, two, other = budget.begin(1), budget.begin(1), budget.begin(2)
    one.take(40)
    one.take(30)  # of all, not more
    with pytest.raises(Refusal) as refused:
        two.take(21)
    assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
    other.take(60)
    with pytest.raises(Refusal) as refused:
        two.take(1)
    assert refused.value.status == 503
    for share in (one, two, other):
        share.give_back()
    assert budget.left == 100
    budget.begin(1).take(60)


def test_a_customer_has_a_few_uploads_at_once():
    budget = UploadBudget(most=100, most_of_customer=60)
    shares = [budget.begin(1) for _ in range(MOST_OF_CUSTOMER)]
    with pytest.raises(Refusal) as refused:
        budget.begin(1)
    assert refused.value.status == 429
    budget.begin(2)
    shares[0].give_back()
    budget.begin(1)
