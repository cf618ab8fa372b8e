"""Who may change what decides a customer's price: the right to set prices, and never for one's own customer."""

from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.groups import CustomerGroup
from accounts.models import Membership
from tests.desk.test_trail import customer_form
from tests.proxy.prices.listed.conftest import finance, model
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
__all__ = ["finance", "model"]
RULES = {"factor": "0.5", "models": "", "rpm_limit": "", "why": "x"}


def test_the_group_of_a_customer_is_for_those_who_set_prices(customer, finance):
    path = reverse("admin:accounts_customer_change", args=[customer.pk])
    for staff, group, name in ((in_role("support"), "default", "Ada 1"), (finance, "large", "Ada 2")):
        changed = customer_form(customer, group="large", why="They grew") | {"name": name}
        assert at_desk(staff).post(path, changed).status_code == 302
        customer.refresh_from_db()
        assert (customer.name, customer.group) == (name, group)


def test_nobody_sets_the_factor_of_a_group_that_a_customer_of_theirs_is_in(customer, finance):
    customer.group = "partners"
    customer.save()
    Membership.objects.create(user=finance, customer=customer)
    add, other = reverse("admin:accounts_customergroup_add"), in_role("finance", "other@staff.example.org")
    new = RULES | {"name": "partners"}
    assert "You belong to a customer of this group" in at_desk(finance).post(add, new).content.decode()
    assert not CustomerGroup.objects.exists()
    assert at_desk(other).post(add, new | {"factor": "1"}).status_code == 302
    group = CustomerGroup.objects.get()
    change = reverse("admin:accounts_customergroup_change", args=[group.pk])
    assert "You belong to a customer of this group" in at_desk(finance).post(change, RULES).content.decode()
    group.refresh_from_db()
    assert group.factor == 1
    assert at_desk(other).post(change, RULES).status_code == 302
    group.refresh_from_db()
    assert group.factor == Decimal("0.5")


def test_what_of_the_list_a_model_follows_is_for_those_who_set_prices(model, finance):
    path, operator = reverse("admin:proxy_model_change", args=[model.pk]), in_role("operator")
    page = at_desk(operator).get(path).content.decode()
    assert 'name="name"' in page
    assert 'name="listed_as"' not in page
    operator.groups.add(*finance.groups.all())
    assert 'name="listed_as"' in at_desk(operator).get(path).content.decode()
