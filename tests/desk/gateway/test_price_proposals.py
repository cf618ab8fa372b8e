"""A price of the list that jumps goes from who syncs to a second of finance, with its differences in words."""

from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from accounts.models import StaffAction
from core.clock import database_now
from proxy.models import Model, PriceProposal
from proxy.prices.loading import in_force
from tests.proxy.prices.listed.conftest import finance, model, one, rates, second, the_list, tier
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
__all__ = ["finance", "model", "second", "the_list"]


@pytest.fixture
def proposal(the_list, model, finance) -> PriceProposal:
    tomorrow = (database_now() + timedelta(days=2)).date()
    the_list(
        one(
            prices=rates(input="8", output="8"),
            later=(tomorrow, rates(input="1", output="8")),
            price_variants=[tier("flex", input="4")],
        )
    )
    call_command("sync_prices", "--apply", "--by", finance.email, stdout=StringIO())
    return PriceProposal.objects.get()


def rate() -> str:
    found = in_force(Model.objects.get().prices.all(), at=database_now())
    assert found is not None
    return str(found.rates["input"])


def test_it_is_confirmed_by_a_second_of_finance_who_sees_what_changes(proposal, finance, second):
    approve = reverse("admin:proxy_priceproposal_approve", args=[proposal.pk])
    shown = at_desk(second).get(approve).content.decode()
    assert "Input: $2 → $8 per million tokens (+300.0 %)" in shown
    assert "Input, flex: $2 → $4 per million tokens (+100.0 %)" in shown
    assert "Input: $8 → $1 per million tokens (-87.5 %)" in shown
    assert "Now: 10,000 tokens in and 1,000 out cost $0.03360000 with the margin." in shown
    assert "Then: 10,000 tokens in and 1,000 out cost $0.10560000 with the margin." in shown
    assert "You proposed it" in at_desk(finance).post(approve, follow=True).content.decode()
    assert rate() == "2"
    assert "Posted." in at_desk(second).post(approve, follow=True).content.decode()
    assert rate() == "8"
    assert (StaffAction.objects.latest("pk").action, StaffAction.objects.latest("pk").user) == ("approve", second)
    page = at_desk(second).get(reverse("admin:proxy_priceproposal_change", args=[proposal.pk])).content.decode()
    assert "Input: $2 → $8 per million tokens (+300.0 %)" in page


def test_it_is_refused_with_a_reason(proposal, second):
    desk = at_desk(second)
    desk.post(reverse("admin:proxy_priceproposal_refuse", args=[proposal.pk]), {"why": "A slip in the list."})
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decision, rate()) == ("refused", "A slip in the list.", "2")


@pytest.mark.parametrize("role", ["operator", "support"])
def test_others_look_and_decide_nothing(proposal, role):
    desk = at_desk(in_role(role))
    assert desk.get(reverse("admin:proxy_priceproposal_changelist")).status_code == 200
    assert desk.post(reverse("admin:proxy_priceproposal_approve", args=[proposal.pk])).status_code == 403
    assert rate() == "2"


def test_the_first_page_counts_what_waits(proposal, second):
    queue = f"{reverse('admin:proxy_priceproposal_changelist')}?state__exact=proposed"
    assert f'<a href="{queue}">1</a>' in at_desk(second).get("/admin/").content.decode()


def test_a_model_follows_only_what_the_list_has(the_list, model, finance):
    the_list(one(prices=rates(input="2", output="8")))
    finance.groups.add(*in_role("operator").groups.all())
    desk, path = at_desk(finance), reverse("admin:proxy_model_change", args=[model.pk])
    lists = [
        f"{name}-{count}_FORMS" for name in ("routes", "prices", "purchase_prices") for count in ("TOTAL", "INITIAL")
    ]
    form = {"slug": "a/m", "max_tool_calls": 0, "is_active": "on", **dict.fromkeys(lists, 0)}
    assert "genai-prices has no model of this name" in desk.post(path, {**form, "listed_as": "a/n"}).content.decode()
    for name in ("", "A/m "):
        desk.post(path, {**form, "listed_as": name, "retired_on": "2027-01-31"})
        model.refresh_from_db()
        assert (model.listed_as, model.retired_on) == (name.strip().lower(), date(2027, 1, 31))
