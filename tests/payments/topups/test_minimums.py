"""The least top-up may differ by method: a fixed fee makes small payments a loss."""

from decimal import Decimal
from pathlib import Path

import pytest
from django.test import Client

from accounts.keys import issuing
from payments.topups import quotes
from payments.topups.quotes import TopUpError
from tests.conftest import NOW
from tests.payments.conftest import open_topup

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _cards_from_sixteen(sandbox, settings):
    settings.TOPUP_MIN_BY_METHOD = {"stripe": Decimal("16.12"), "alipay": Decimal(0), "wechat": Decimal("0.50")}


def test_a_method_has_its_own_minimum_and_the_others_the_common_one(customer):
    with pytest.raises(TopUpError, match=r"\(Card\) is at least \$16\.12") as refused:
        open_topup(customer, method="stripe", amount="16.11")
    assert refused.value.field == "amount"
    assert open_topup(customer, method="stripe", amount="16.12").state == "open"
    for method in ("alipay", "wechat"):
        assert open_topup(customer, method=method, amount="1.00").state == "open"
        with pytest.raises(TopUpError, match=r"at least \$1\.00"):
            open_topup(customer, method=method, amount="0.99")


def test_the_api_says_so(customer, client: Client):
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["billing"])
    body, headers = {"amount": "5.00", "method": "stripe"}, {"Authorization": f"Bearer {key.text}"}
    answer = client.post("/v1/topups", body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert "at least $16.12" in answer.json()["error"]["message"]


def test_the_page_shows_it_beside_the_method_and_refuses_less(customer, client: Client):
    client.force_login(customer.members.get())
    page = client.get("/console/topup").content.decode()
    assert page.count("from $16.12") == 1
    assert 'data-least="16.12"' in page
    refused = client.post("/console/topup", {"preset": "5", "method": "stripe"})
    assert refused.status_code == 400
    assert "at least $16.12" in refused.content.decode()
    assert client.post("/console/topup", {"preset": "5", "method": "alipay"}).status_code == 302


@pytest.mark.parametrize(("margin", "sum_"), [("1.05", "16.12"), ("1.08", "6.66"), ("1.10", "4.85"), ("1.15", "2.96")])
def test_the_documented_sums_are_those_at_which_a_card_earns_its_fee(margin, sum_, repository: Path):
    def left(amount: Decimal) -> Decimal:
        return amount - amount / Decimal(margin) - (amount * Decimal("0.029") + Decimal("0.30"))

    assert left(Decimal(sum_)) >= 0 > left(Decimal(sum_) - Decimal("0.01"))
    assert f" {sum_} " in (repository / "docs" / "payments.md").read_text(encoding="utf-8")


def test_without_a_setting_of_its_own_a_method_has_the_common_minimum(settings):
    settings.TOPUP_MIN_BY_METHOD = {"stripe": Decimal(0)}
    assert [quotes.least(method) for method in ("stripe", "alipay")] == [Decimal("1.00")] * 2
