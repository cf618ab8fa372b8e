"""What staff type into the first page's search, as customers and providers show it, and what is found."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Customer, User
from billing import refunds
from payments.models import TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.topups import orders
from proxy.models import Generation
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(db):
    client = Client()
    client.force_login(User.objects.create_superuser("desk@example.org", "a rather long one"))
    return client


@pytest.fixture
def paid(customer):
    topup = TopUp.objects.create(
        customer=customer,
        number="topup_AbCdEfGh12",
        method="wechat",
        amount=Decimal("20.00"),
        charge_amount=Decimal("142.40"),
        charge_currency="CNY",
        fx_rate=Decimal("7.12"),
        expires_at=NOW,
        created_at=NOW,
    )
    number = "4200002612202611238888777766"
    fact = PaymentFact(Outcome.OK, topup.number, number, Decimal("142.40"), "CNY", is_ours=True)
    orders.credit(topup_id=topup.pk, fact=fact, now=NOW)
    return topup


def searched(desk, text):
    """Where a search leads, or the part of the page that says what was found."""
    answer = desk.get("/admin/", {"q": text})
    if answer.status_code == 302:
        return answer["Location"]
    page = " ".join(answer.content.decode().split())
    return page[page.index("Found for") : page.index("desk-panels")]


@pytest.mark.parametrize(
    "text",
    [
        "topup_AbCdEfGh12",
        "  topup_AbCdEfGh12  ",
        "topup_Ab",
        "topup_Ab…",
        "topup_AbCd...",
        "EfGh12",
        "4200002612202611238888777766",
        "4200 0026 1220 2611 2388 8877 7766",
        "420000",
        "777766",
        "20.00 2026-11-23",
        "2026-11-23 $20",
        "¥142.40 2026-11-23",
        "142.40",
    ],
)
def test_one_hit_opens(desk, paid, text):
    assert searched(desk, text) == reverse("admin:payments_topup_change", args=[paid.pk])


@pytest.mark.parametrize("text", ["Ada", "ada@Example.org", "example.org", "@example.org", "#{pk}", "lovelace"])
def test_a_customer_is_found_by_name_address_domain_and_number(desk, user, customer, text):
    User.objects.filter(pk=user.pk).update(name="Ada Lovelace")
    Customer.objects.filter(pk=customer.pk).update(name="Ada")
    link = reverse("admin:accounts_customer_change", args=[customer.pk])
    assert searched(desk, text.format(pk=customer.pk)) == link
    listed = desk.get(reverse("admin:accounts_customer_changelist"), {"q": text.format(pk=customer.pk)})
    assert f'href="{link}' in listed.content.decode()


@pytest.mark.parametrize("text", ["20.00 2026-11-24", "21 2026-11-23", "gH12", "org", "Beatrice", "#0", "5", "-", "…"])
def test_what_is_another_is_not_found(desk, user, paid, text):
    assert "/change/" not in searched(desk, text)


def test_hits_show_whose_how_much_what_state_and_when(desk, customer, paid):
    refund = refunds.ask(customer=customer, amount="20.00", reason="x", now=timezone.now())
    found = searched(desk, "20")
    assert refund.number in found
    for words in (f"<td>{customer.name}</td>", "$20.00 (142.40 CNY)", "<td>paid</td>", "2026-11-23 12:00", "requested"):
        assert words in found


@pytest.mark.parametrize("cut", [slice(0, 12), slice(4, 12), slice(-6, None)])
def test_a_request_is_found_by_a_part_of_its_id(desk, make_request, cut):
    made = make_request()
    Generation.objects.filter(pk=made.pk).update(created_at=NOW - timedelta(days=1))
    assert searched(desk, made.pk[cut]) == reverse("admin:proxy_generation_change", args=[made.pk])


@pytest.mark.parametrize(
    ("number", "provider"),
    [("4200002612202611230000000001", "wechat"), ("2026112322001000000000000001", "alipay"), ("pi_3OabcDEF", "stripe")],
)
def test_of_a_number_that_is_unknown_the_provider_is_asked(desk, paid, number, provider):
    found = searched(desk, number)
    link = f"{reverse('admin:payments_topup_fetch')}?number={number}"
    assert f'href="{link}"' in found
    page = desk.get(link).content.decode()
    assert f'value="{number}"' in page
    assert f'<option value="{provider}" selected' in page


def test_who_may_not_ask_is_offered_nothing(paid):
    reader = at_desk(in_role("support"))
    assert "ask the provider" not in searched(reader, "4200002612202611230000000001")


def test_a_search_shows_none_of_what_somebody_may_not_see(customer, user, paid):
    stranger = User.objects.create_user("new@example.org", "a rather long one", is_staff=True)
    assert "/change/" not in searched(at_desk(stranger), "topup_AbCdEfGh12")
