"""/console/budgets: set money aside, see the key once, end it."""

import re
from decimal import Decimal

from accounts.keys import issuing
from accounts.models import Membership, SecurityEvent, User
from billing.models import Budget, Wallet

FORM = {"name": "nightly run", "amount": "2.50", "lasts": "3600"}


def test_a_budgets_key_is_shown_once_with_how_to_use_it(browser_client, customer, settings):
    answer = browser_client.post("/console/budgets", FORM)
    said = answer.content.decode()
    [text] = set(re.findall(r"ck-[a-zA-Z0-9]{32}", said))
    assert issuing.find(text).customer == customer
    assert f"export OPENAI_BASE_URL={settings.SITE_URL}/v1 OPENAI_API_KEY={text}" in said
    assert "no-store" in answer.headers["Cache-Control"]
    page = browser_client.get("/console/budgets").content.decode()
    assert text not in page
    assert "$0.0000 of $2.50 spent" in page
    assert "$7.5000 of your balance is available." in page
    assert "nightly run" not in browser_client.get("/console/keys").content.decode()
    assert "is set aside in 1 budget" in browser_client.get("/console/").content.decode()
    assert SecurityEvent.objects.filter(kind="key_made").count() == 1


def test_more_than_is_available_is_refused_beside_the_field(browser_client):
    answer = browser_client.post("/console/budgets", {**FORM, "amount": "10.01"})
    assert answer.status_code == 400
    assert "The available balance is $10.00000000" in answer.content.decode()
    assert not Budget.objects.exists()
    for wrong in ({"amount": "0"}, {"amount": "x"}, {"lasts": "5"}, {"name": ""}):
        assert browser_client.post("/console/budgets", {**FORM, **wrong}).status_code == 400


def test_it_is_ended_after_a_question(browser_client, make_budget, customer, user):
    made = make_budget("2.50", created_by=user)
    path = f"/console/budgets/{made.budget.pk}/end"
    assert "$2.5000 is available again at once" in browser_client.get(path).content.decode()
    for _ in range(2):
        assert browser_client.post(path).status_code == 302
    page = browser_client.get("/console/budgets").content.decode()
    assert "$2.5000 came back" in page
    assert "ended by hand" in page
    assert path not in page
    assert Wallet.objects.get(customer=customer).held == 0
    assert SecurityEvent.objects.filter(kind="key_deleted").count() == 1


def test_a_budgets_key_is_not_changed_on_the_page_of_keys(browser_client, make_budget, user):
    made = make_budget("1", created_by=user)
    assert browser_client.post(f"/console/keys/{made.budget.key_id}/delete").status_code == 404
    assert browser_client.post(f"/console/keys/{made.budget.key_id}/switch", {"active": "0"}).status_code == 404


def test_others_budgets_are_ended_by_owners_alone(browser_client, make_budget, customer, user, make_customer):
    other = User.objects.create_user("bo@example.org", "a rather long one")
    Membership.objects.create(user=other, customer=customer)
    theirs = make_budget("1", created_by=other)
    Membership.objects.filter(user=user).update(role="developer")
    assert browser_client.get(f"/console/budgets/{theirs.budget.pk}/end").status_code == 403
    assert f"/console/budgets/{theirs.budget.pk}/end" not in browser_client.get("/console/budgets").content.decode()
    strange = make_budget("1", customer=make_customer("5", name="Bo"))
    assert browser_client.get(f"/console/budgets/{strange.budget.pk}/end").status_code == 404
    Membership.objects.filter(user=user).update(role="viewer")
    assert browser_client.post("/console/budgets", FORM).status_code == 403
    assert "Set money aside" not in browser_client.get("/console/budgets").content.decode()


def test_the_list_goes_on_over_pages(browser_client, make_budget, monkeypatch):
    monkeypatch.setattr("console.budgets.page.PER_PAGE", 2)
    for number in range(3):
        make_budget("1", name=f"run-{number}")
    page = browser_client.get("/console/budgets").content.decode()
    [older] = re.findall(r"\?before=(\d+)", page)
    assert "run-0" not in page
    assert "run-0" in browser_client.get(f"/console/budgets?before={older}").content.decode()
    assert browser_client.get("/console/budgets?before=x").status_code == 200
    assert Budget.objects.get(pk=older).amount == Decimal(1)
