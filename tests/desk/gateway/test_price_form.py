"""The form of a price: the list beside it, what a new one changes, and none below cost unless that is meant."""

from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.groups import CustomerGroup
from proxy.models import Model, Upstream
from proxy.prices.loading import set_cost
from tests.desk.gateway.test_price_proposals import rate
from tests.proxy.prices.listed.conftest import finance, model, one, rates, the_list
from tests.staffing import at_desk

pytestmark = pytest.mark.django_db
__all__ = ["finance", "model", "the_list"]
FORM = {"output": "8", "margin": "1.2"}


@pytest.fixture
def form(the_list, model, finance):
    """A function: finance sees the form, or posts these fields; what the page says."""
    the_list(one(prices=rates(input="2.5", output="8")))
    desk, path = at_desk(finance), reverse("admin:proxy_model_new_price", args=[model.pk])

    def form(**fields: str) -> str:
        answer = desk.post(path, {**FORM, **fields}, follow=True) if fields else desk.get(path)
        return answer.content.decode()

    return form


def test_the_list_stands_beside_todays_price(form, the_list):
    assert "The list&#x27;s price of a/m beside it:<br>Input: $2 → $2.5 per million tokens (+25.0 %)" in form()
    the_list(one(prices=rates(input="2", output="8")))
    assert "The list has the same price for a/m." in form()
    the_list(one("other", prices=rates(input="2", output="8")))
    assert "he list" not in form().partition("<form")[0].partition("USD before the margin")[2]


def test_a_new_price_says_what_it_changes_and_that_the_list_is_not_followed_any_more(form):
    said = form(input="3")
    assert "Input: $2 → $3 per million tokens (+50.0 %)." in said
    assert "It no longer follows the list." in said
    assert "no longer follows" not in form(input="4")


def test_a_price_below_cost_is_set_only_by_who_is_sure(form, model):
    set_cost(model, Upstream.objects.get(), {"input": "3", "output": "1"}, where="a/m")
    said = form(input="2.4")
    assert "Input: sold at $2.88 with the margin, bought at $3 from main, per million tokens." in said
    assert "Tick this if that is meant." in said
    assert rate() == "2"
    assert Model.objects.get().listed_as == "a/m"
    form(input="2.4", sure="on")
    assert rate() == "2.4"
    form(input="2.5")
    assert rate() == "2.5"


def test_a_price_that_is_below_cost_for_a_group_names_it(form, model):
    CustomerGroup.objects.create(name="partners", factor=Decimal("0.8"))
    set_cost(model, Upstream.objects.get(), {"input": "2", "output": "1"}, where="a/m")
    said = form(input="2.05")
    assert "Input: sold to the group partners at $1.968, bought at $2 from main, per million tokens." in said
    assert rate() == "2"
    form(input="2.2")
    assert rate() == "2.2"


def test_a_factor_that_sells_below_cost_is_told_when_the_group_is_saved(form, model, finance):
    fields = {"name": "partners", "models": "", "rpm_limit": ""}
    desk = at_desk(finance)
    desk.post(reverse("admin:accounts_customergroup_add"), {**fields, "factor": "0.9"})
    change = reverse("admin:accounts_customergroup_change", args=[CustomerGroup.objects.get().pk])
    told = "Below cost for this group, or for everybody: a/m."
    assert told not in desk.get(change).content.decode()
    answer = desk.post(change, {**fields, "factor": "0.8"}, follow=True)
    assert told in answer.content.decode()
