"""Automatic top-up on its page, over the account API and at the desk."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Membership, User
from accounts.roles import ALL_SCOPES
from billing import refunds
from payments.automatic import terms
from payments.models import AutoTopUp, SavedCard
from tests.payments.automatic.steps import DECLINED_LATER, UNTIL, switched_on, work
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db(transaction=True)
AGREED = terms.Terms(Decimal("20.00"), Decimal("10.00"), Decimal("100.00"), UNTIL)
TERMS = {"amount": "20.00", "threshold": "10.00", "ceiling": "100.00", "until": UNTIL.isoformat()}


@pytest.fixture
def owner(customer, client):
    client.force_login(customer.members.get())
    return client


def keyed(customer, **given):
    maker = given.pop("maker", None) or customer.members.first()
    given = {"name": "x", "now": timezone.now(), "scopes": [*ALL_SCOPES], "created_by": maker} | given
    return {"Authorization": f"Bearer {issuing.issue(customer=customer, **given).text}"}


def put(client, headers, **changes):
    body = {**TERMS, "consent_version": terms.VERSION} | changes
    body = {name: value for name, value in body.items() if value is not None}
    return client.put("/v1/auto-topup", body, content_type="application/json", headers=headers)


def test_the_text_is_shown_before_it_is_agreed_to_and_kept_with_version_time_and_address(sandbox, customer, owner):
    page = owner.post("/console/auto-topup", {**TERMS, "step": "read"}).content.decode()
    text = terms.consent(AGREED, customer=customer, locale="en")
    for part in (
        "$10.00",
        "$20.00",
        "$100.00",
        UNTIL.isoformat(),
        "without a cap of its own can spend up to this ceiling",
    ):
        assert part in text
    assert text.split(" whenever")[0] in page
    assert not AutoTopUp.objects.exists()
    form = {**TERMS, "step": "agree", "version": terms.VERSION}
    answer = owner.post("/console/auto-topup", form, headers={"X-Forwarded-For": "1.2.3.4"})
    kept = AutoTopUp.objects.select_related("card").get()
    assert answer.headers["Location"] == kept.card.setup_url
    assert (kept.consent, kept.consent_version, kept.agreed_by) == (text, terms.VERSION, customer.members.get())
    assert (kept.agreed_from, kept.state) == ("127.0.0.1", "waiting")
    assert abs(kept.agreed_at - timezone.now()) < timedelta(minutes=1)


def test_the_form_says_that_a_key_without_a_cap_can_spend_up_to_the_ceiling(sandbox, customer, owner):
    page = owner.get("/console/auto-topup").content.decode()
    assert "A key without a cap of its own can spend up to the ceiling." in page


def test_who_comes_back_from_the_providers_page_finds_it_on_with_the_card(sandbox, customer, owner):
    owner.post("/console/auto-topup", {**TERMS, "step": "agree", "version": terms.VERSION})
    card = SavedCard.objects.get()
    sandbox.control("POST", f"/setups/{card.setup_reference}/keep")
    page = owner.get("/console/auto-topup").content.decode()
    assert "Visa ···· 4242" in page
    assert AutoTopUp.objects.get().state == "on"
    assert owner.post("/console/auto-topup", {"step": "off"}).status_code == 302
    assert "switched off by an owner" in owner.get("/console/auto-topup").content.decode()
    work()
    assert SavedCard.objects.get().state == "gone"


def test_the_page_tells_why_it_was_switched_off_and_what_was_tried(sandbox, customer, owner):
    switched_on(sandbox, customer, DECLINED_LATER)
    [topup] = work()
    page = owner.get("/console/auto-topup").content.decode()
    assert "the card was declined" in page
    assert topup.number in page
    assert "the card was declined" in owner.get("/console/topup").content.decode()
    assert owner.get(f"/console/topup/{topup.number}").status_code == 200


def test_asking_for_a_refund_pauses_it_and_says_so(sandbox, customer, owner):
    switched_on(sandbox, customer)
    work()
    assert "pauses while a refund is asked for" in owner.get("/console/refunds").content.decode()
    answer = owner.post("/console/refunds", {"amount": "5.00", "reason": "x"}, follow=True)
    assert "Automatic top-up is paused" in answer.content.decode()
    AutoTopUp.objects.update(look_at=timezone.now())
    work()
    assert "Paused: a refund is asked for." in owner.get("/console/auto-topup").content.decode()
    assert refunds.refundable(customer_id=customer.pk).frozen == 5


def test_a_wrong_form_is_shown_again_with_what_is_wrong(sandbox, customer, owner):
    wrongs = (
        *(("amount", "0.50"), ("threshold", "-1"), ("threshold", "100.01"), ("ceiling", "19.99")),
        *(("until", "2020-01-01"), ("until", "x")),
    )
    for field, text in wrongs:
        answer = owner.post("/console/auto-topup", {**TERMS, field: text, "step": "read"})
        assert (answer.status_code, b'class="error"' in answer.content) == (400, True), (field, text)
    assert owner.post("/console/auto-topup", {**TERMS, "step": "agree", "version": "0"}).status_code == 400


def test_the_api_says_that_nothing_is_set_and_takes_terms_with_the_text_agreed_to(sandbox, customer, client):
    headers = keyed(customer)
    nothing = client.get("/v1/auto-topup", headers=headers).json()["data"]
    assert (nothing["enabled"], nothing["state"], nothing["amount"]) == (False, "off", None)
    asked = put(client, headers, consent_version=None)
    assert (asked.status_code, asked.json()["error"]["code"]) == (400, "validation_error")
    assert "I allow" in asked.json()["error"]["message"]
    data = put(client, headers).json()["data"]
    assert (data["state"], data["enabled"]) == ("waiting_for_card", False)
    assert put(client, headers).json()["data"]["setup_url"] == data["setup_url"]
    sandbox.control("POST", f"/setups/{SavedCard.objects.get().setup_reference}/keep")
    SavedCard.objects.update(look_at=timezone.now())
    work()
    data = client.get("/v1/auto-topup", headers=headers).json()["data"]
    assert (data["enabled"], data["card"]["last4"], data["ceiling"]) == (True, "4242", "100.00000000")
    assert (data["until"], data["time_zone"], data["spent_this_month"]) == (UNTIL.isoformat(), "UTC", "20.00000000")
    assert client.delete("/v1/auto-topup", headers=headers).status_code == 204
    assert client.get("/v1/auto-topup", headers=headers).json()["data"]["disabled_reason"] == "owner"


def test_the_api_names_the_field_that_is_wrong(sandbox, customer, client):
    headers = keyed(customer)
    wrongs = {"amount": 20.5, "threshold": None, "ceiling": "1.00", "until": None, "nonsense": 1, "new_card": 1}
    for field, value in wrongs.items():
        answer = put(client, headers, **{field: value})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "validation_error", field)
    for amount in ("2e1", "20.000", True):
        answer = put(client, headers, amount=amount)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "amount"), amount


def test_a_threshold_that_the_ceiling_can_never_lift_to_is_refused_with_what_helps(sandbox, customer, client, settings):
    settings.TOPUP_FEES = {"stripe": (Decimal(10), Decimal(0))}
    headers = keyed(customer)
    error = put(client, headers, threshold="100.00").json()["error"]
    assert (error["code"], error["param"]) == ("validation_error", "threshold")
    assert "raise the ceiling to at least $110.00" in error["message"]
    assert put(client, headers, threshold="100.00", ceiling="110.00").status_code == 200


def test_owners_alone_see_and_change_it(sandbox, customer, client):
    developer = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=developer, customer=customer, role="developer")
    headers = keyed(customer, maker=developer, scopes=["inference", "read", "keys"])
    assert client.get("/v1/auto-topup", headers=headers).status_code == 403
    client.force_login(developer)
    assert client.get("/console/auto-topup").status_code == 403
    assert "auto-topup" not in client.get("/console/topup").content.decode()


def test_a_provider_that_does_not_answer_is_said_and_asked_again(sandbox, customer, client):
    headers = keyed(customer)
    sandbox.fault("provider_down", provider="stripe", operation="create", times=2)
    assert put(client, headers).status_code == 503
    assert put(client, headers).json()["data"]["setup_url"]
    assert SavedCard.objects.count() == 1


def test_the_desk_shows_state_and_attempts_on_the_customers_page(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    [topup] = work()
    client = at_desk(in_role("support"))
    page = client.get(reverse("admin:accounts_customer_change", args=[customer.pk])).content.decode()
    assert f"Visa ···· {agreement.card.last4}" in page
    assert reverse("admin:payments_topup_change", args=[topup.pk]) in page
    for name, row in (("autotopup", agreement), ("savedcard", agreement.card)):
        assert client.get(reverse(f"admin:payments_{name}_change", args=[row.pk])).status_code == 200
        assert client.get(reverse(f"admin:payments_{name}_changelist")).status_code == 200


def test_a_month_and_a_last_day_are_of_the_accounts_zone(sandbox, customer):
    customer.time_zone = "Asia/Shanghai"
    began = terms.month_began(datetime(2026, 11, 30, 17, tzinfo=UTC), customer)
    assert began == datetime(2026, 11, 30, 16, tzinfo=UTC)
    fixed = terms.Terms(*(Decimal(20),) * 3, date(2028, 6, 30))
    assert terms.ends_at(fixed, customer) == datetime(2028, 6, 30, 16, tzinfo=UTC)
    assert terms.last_day(datetime(2028, 6, 30, 16, tzinfo=UTC), customer) == fixed.until
