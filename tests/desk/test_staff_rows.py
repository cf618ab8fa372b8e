"""Acts on money, prices and rates at the desk: allowed to those with the right, and each leaves its row."""

import ast
from decimal import Decimal

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, StaffAction
from billing import refunds
from billing.models import AdjustmentProposal, RefundRequest, Wallet
from payments import refunds as refunding
from payments.models import Dispute, ExchangeRate, Notification, RefundPart, TopUp
from payments.providers.base import RefundOutcome
from payments.refunds import acts
from proxy.models import Model
from tests.payments.fake_refunds import paid_in
from tests.staffing import at_desk, in_role
from tests.test_architecture import sources

pytestmark = pytest.mark.django_db
WRITERS = ("record(", "recorded(", "propose_page(", "_decided(", "self._lock(", "self._act(", "fapiao.take(")
"""What writes a row, or hands the request to what does."""


@pytest.fixture
def refund(customer, user, now) -> RefundRequest:
    paid_in(customer, "stripe", "200.00")
    return refunds.ask(customer=customer, amount="150.00", reason="test", now=timezone.now())


def act(desk, refund, name, **fields):
    return desk.post(reverse("admin:billing_refundrequest_act", args=[refund.pk, name]), fields, follow=True)


def test_a_decision_on_a_refund_says_what_changed_and_why(refund, customer):
    support = in_role("support")
    act(at_desk(support), refund, "deny", words="It was used up.")
    done = StaffAction.objects.get()
    assert (done.user, done.action, done.why, done.customer) == (support, "deny", "It was used up.", customer)
    assert (done.before["state"], done.after["state"]) == ("requested", "denied")
    assert done.object_text == refund.number
    assert done.address == "127.0.0.1"


def test_a_decision_that_is_refused_leaves_no_row(refund):
    desk = at_desk(in_role("support"))
    assert "Above $100.00 finance approves" in act(desk, refund, "approve", amount="150.00").content.decode()
    assert not StaffAction.objects.exists()
    refund.refresh_from_db()
    assert refund.state == "requested"


def test_above_the_limit_support_proposes_and_finance_approves(refund):
    act(at_desk(in_role("support")), refund, "propose", amount="150.00")
    act(at_desk(in_role("finance")), refund, "approve", amount="150.00")
    refund.refresh_from_db()
    assert refund.state == "approved"
    who = StaffAction.objects.order_by("pk").values_list("user__email", "action")
    assert list(who) == [("support@staff.example.org", "propose"), ("finance@staff.example.org", "approve")]


def test_a_request_entered_for_a_customer_is_written_down_whole(refund, customer, user):
    desk = at_desk(in_role("support"))
    form = {"email": user.email, "amount": "5.00", "reason": "by mail", "reference": "mail-7"}
    assert desk.post(reverse("admin:billing_refundrequest_add"), form).status_code == 302
    done = StaffAction.objects.get()
    assert (done.action, done.customer, done.before) == ("add", customer, {})
    assert done.after["reference"] == "mail-7"


def test_an_operator_decides_no_refund(refund):
    desk = at_desk(in_role("operator"))
    assert act(desk, refund, "deny", words="no").status_code == 403
    refund.refresh_from_db()
    assert refund.state == "requested"


def test_nobody_writes_off_for_a_customer_they_belong_to(refund, customer):
    topup = TopUp.objects.get()
    dispute = Dispute.objects.create(
        provider="stripe",
        provider_id="dp_1",
        topup=topup,
        customer=customer,
        status="lost",
        amount=Decimal(20),
        currency="USD",
        withdrawn=Decimal(20),
    )
    finance = in_role("finance")
    Membership.objects.create(user=finance, customer=customer)
    path = reverse("admin:payments_dispute_propose_write_off", args=[dispute.pk])
    page = at_desk(finance).post(path, {"amount": "1.00", "reason": "x"}).content.decode()
    assert "You belong to this customer" in page
    dispute.refresh_from_db()
    assert dispute.write_off is None


def test_finance_sets_the_rate_and_prices_and_an_operator_neither(catalog):
    finance, operator = at_desk(in_role("finance")), at_desk(in_role("operator"))
    rate, model = {"rate": "7.20", "source": "bank"}, Model.objects.get(slug="openai/gpt-4.1-nano")
    price = {"billing": "per_token", "input": "0.2", "output": "0.8", "tiers": "[]", "margin": "1.05"}
    paths = (reverse("admin:payments_exchangerate_add"), reverse("admin:proxy_model_new_price", args=[model.pk]))
    for path, form in zip(paths, (rate, price), strict=True):
        assert operator.post(path, form).status_code == 403
        assert finance.post(path, form).status_code == 302
    assert ExchangeRate.objects.latest().rate == Decimal("7.20")
    first, second = StaffAction.objects.order_by("pk")
    assert (first.object_type, first.action, first.after["rate"]) == ("payments.exchangerate", "add", "7.200000")
    newest = model.prices.order_by("-version")[0]
    assert (second.object_type, second.action) == ("proxy.model", "new_price")
    assert second.after[f"proxy.price {newest.pk}"]["rates"] == {"input": "0.2", "output": "0.8"}


def test_an_operator_manages_upstreams_and_routes_and_finance_does_not(catalog):
    model = Model.objects.get(slug="openai/gpt-4.1-nano")
    route = model.routes.get()
    form = {
        "slug": model.slug,
        "is_active": "on",
        "max_tool_calls": 0,
        "routes-TOTAL_FORMS": "1",
        "routes-INITIAL_FORMS": "1",
    }
    form |= {"routes-0-id": route.pk, "routes-0-model": model.pk, "routes-0-upstream": route.upstream_id}
    form |= {"routes-0-upstream_model": "nano-2", "prices-TOTAL_FORMS": "0", "prices-INITIAL_FORMS": "0"}
    form |= {"purchase_prices-TOTAL_FORMS": "0", "purchase_prices-INITIAL_FORMS": "0"}
    path = reverse("admin:proxy_model_change", args=[model.pk])
    assert at_desk(in_role("finance")).post(path, form).status_code == 403
    assert at_desk(in_role("operator")).post(path, form).status_code == 302
    done = StaffAction.objects.get()
    assert done.after[f"proxy.route {route.pk}"] == {"upstream_model": "nano-2", "ask_usage": False}


def test_a_replay_is_for_finance_and_leaves_a_row(db, user):
    notification = Notification.objects.create(provider="stripe", key="evt_1", kind="payment", body="{}")
    path = reverse("admin:payments_notification_changelist")
    replay = {"action": "process_again", "_selected_action": [notification.pk]}
    at_desk(in_role("support")).post(path, replay)
    assert not StaffAction.objects.exists()
    at_desk(in_role("finance")).post(path, replay)
    done = StaffAction.objects.get()
    assert (done.action, done.object_id) == ("process_again", str(notification.pk))


def test_an_adjustment_goes_from_one_desk_to_the_other(customer, user):
    first, second = at_desk(in_role("finance")), at_desk(in_role("finance", "second@staff.example.org"))
    form = {"email": "ADA@example.org", "kind": "bonus_up", "amount": "2.50", "reason": "our outage", "words": "Sorry"}
    add = reverse("admin:billing_adjustmentproposal_add")
    assert "Write an amount in USD" in first.post(add, form | {"amount": "2,5"}).content.decode()
    assert "No customer has this address" in first.post(add, form | {"email": "x@example.org"}).content.decode()
    assert first.post(add, form).status_code == 302
    proposal = AdjustmentProposal.objects.get()
    approve = reverse("admin:billing_adjustmentproposal_approve", args=[proposal.pk])
    assert "You proposed it" in first.post(approve, follow=True).content.decode()
    shown = second.get(approve).content.decode()
    assert "bonus up, $2.50.<br>our outage<br>The wallet now: paid $0.0000, bonus $10.0000" in shown
    queue = f"{reverse('admin:billing_adjustmentproposal_changelist')}?queue=proposed"
    assert f'<a href="{queue}">1</a>' in second.get("/admin/").content.decode()
    assert "Posted." in second.post(approve, follow=True).content.decode()
    assert "posted already" in second.post(approve, follow=True).content.decode()
    assert Wallet.objects.get(customer=customer).bonus == Decimal("12.5")
    rows = list(StaffAction.objects.order_by("pk").values_list("action", "why", "customer"))
    assert rows == [("add", "our outage", customer.pk), ("approve", "our outage", customer.pk)]
    assert StaffAction.objects.order_by("-pk")[0].after["state"] == "posted"


def test_a_charge_is_given_back_from_the_desk(customer, make_request):
    generation = make_request()
    before = Wallet.objects.get(customer=customer).bonus
    first, second = at_desk(in_role("finance")), at_desk(in_role("finance", "second@staff.example.org"))
    path = reverse("admin:billing_adjustmentproposal_give_back")
    wrong = {"generation_id": "gen-unknown", "reason": "x"}
    assert "Nothing was charged under this id" in first.post(path, wrong).content.decode()
    first.post(path, {"generation_id": generation.pk, "reason": "the answer was empty"})
    proposal = AdjustmentProposal.objects.get()
    second.post(reverse("admin:billing_adjustmentproposal_refuse", args=[proposal.pk]), {"why": "it was not"})
    assert Wallet.objects.get(customer=customer).bonus == before
    first.post(path, {"generation_id": generation.pk, "reason": "it was, look"})
    again = AdjustmentProposal.objects.get(state="proposed")
    second.post(reverse("admin:billing_adjustmentproposal_approve", args=[again.pk]))
    assert Wallet.objects.get(customer=customer).bonus == before + generation.cost


def test_the_first_pages_search_finds_only_what_one_may_see(customer, user):
    operator, support = at_desk(in_role("operator")), at_desk(in_role("support"))
    found = reverse("admin:accounts_customer_change", args=[customer.pk])
    assert support.get("/admin/", {"q": user.email})["Location"] == found
    page = operator.get("/admin/", {"q": user.email})
    assert page.status_code == 200, "a hit that one may not see leads nowhere"
    assert found not in page.content.decode()
    assert "Nothing. An id is found in full" in page.content.decode()


def test_no_button_of_the_desk_forgets_its_row(repository):
    """Each function that answers a POST behind a button, or with a page that asks, names what writes the row."""
    found = 0
    for file, module in sources(repository, "desk"):
        for node in ast.walk(ast.parse(module)):
            if not isinstance(node, ast.FunctionDef):
                continue
            text = ast.unparse(node)
            is_button = any("action(" in ast.unparse(decorator) for decorator in node.decorator_list)
            is_button |= "form_page(" in text  # or what such functions share
            acts = is_button and ("request.method == 'POST'" in text or "queryset" in [a.arg for a in node.args.args])
            writes = any(name in text for name in WRITERS)
            assert writes or not acts, f"{file}: {node.name}"
            found += acts
    assert found > 20, "the search finds nothing any more"


def parked(refund: RefundRequest) -> RefundPart:
    return RefundPart.objects.create(
        refund=refund, number=1, key="part_1", state="parked", amount=5, charge_amount=5, by_bank=True
    )


@pytest.mark.django_db(transaction=True)
def test_the_provider_is_never_asked_inside_the_acts_transaction(refund, monkeypatch):
    asked = []

    def look(**kwargs):
        asked.append(connection.in_atomic_block)
        return RefundOutcome.PENDING

    monkeypatch.setattr(refunding, "look", look)
    monkeypatch.setattr(acts, "look", look)
    desk, part = at_desk(in_role("finance")), parked(refund)
    act(desk, refund, "look", part=part.number)
    assert "Look again later" in act(desk, refund, "give-back", part=part.number).content.decode()
    assert asked == [False, False]
    assert StaffAction.objects.get().action == "look"


def test_nobody_ends_a_parked_part_of_a_customer_they_belong_to(refund, customer):
    finance, part = in_role("finance"), parked(refund)
    Membership.objects.create(user=finance, customer=customer)
    desk = at_desk(finance)
    for name in ("record-transfer", "give-back"):
        page = act(desk, refund, name, part=part.number, reference="BANK-1").content.decode()
        assert "You belong to this customer" in page
    part.refresh_from_db()
    assert (part.state, part.recorded_by_id) == ("parked", None)
