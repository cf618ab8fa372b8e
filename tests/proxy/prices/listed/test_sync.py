"""`sync_prices`: what the list says is shown first, taken over on demand, and where it jumps by two."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from chuizi.local.demo import load_demo_catalog
from core.clock import database_now
from proxy.models import Model, Price, PriceProposal, Upstream
from proxy.prices import catalog
from proxy.prices.listed import proposals
from proxy.prices.loading import in_force, load_catalog, set_price
from tests.proxy.prices.listed.conftest import UPSTREAM, one, rates, tier
from tests.staffing import in_role

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command("sync_prices", *words, stdout=out)
    return out.getvalue()


def price(slug: str = "a/m") -> dict[str, Any]:
    found = in_force(Price.objects.filter(model__slug=slug), at=database_now())
    assert found is not None
    return {**found.rates, "margin": str(found.margin)}


def test_without_apply_the_difference_is_shown_and_nothing_written(the_list, model):
    the_list(one(prices=rates(input="2.5", output="8")))
    said = run()
    assert "input                                                   2 -> 2.5          +25.0 %" in said
    assert "output" not in said
    assert "1 changed" in said
    assert said.endswith("Nothing was written: --apply does it.\n")
    assert Price.objects.count() == 1


def test_with_apply_it_is_a_new_version_with_the_margin_that_was_there_and_then_there_is_nothing_to_do(the_list, model):
    the_list(one(prices=rates(input="2.5", output="8")))
    assert run("--apply").endswith("Written.\n")
    assert price() == {"input": "2.5", "output": "8", "margin": "1.2000"}
    for words in ((), ("--apply",)):
        assert run(*words).endswith("0 new, 0 changed, 0 to confirm, 0 kept, 1 the same\nNothing to do.\n")
    assert Price.objects.count() == 2


def test_variants_and_tools_come_along_where_they_are_sold(the_list, model):
    listed = rates(input="2", output="8")
    listed.web_searches_kcount = Decimal(10)
    the_list(one(prices=listed, price_variants=[tier("priority", input="4", output="16")]))
    said = run("--apply")
    assert "input, service_tier=priority                            - -> 4            new" in said
    assert "web_search" not in said
    Model.objects.update(max_tool_calls=3)
    assert "web_search" in run("--apply")
    found = catalog.load().find("a/m")
    assert found is not None
    assert found.price.rates_for(1, {"service_tier": "priority"})["input"] == 4
    assert found.price.sells("web_search", {})
    assert run().endswith("Nothing to do.\n")


def test_a_day_to_come_is_scheduled_and_taken_back_by_another_price_for_it(the_list, model):
    day = (timezone.now() + timedelta(days=40)).date()
    now = rates(input="2", output="8")
    the_list(one(prices=now, later=(day, rates(input="1.5", output="8"))))
    assert f"from {day} on" in run("--apply")
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert Price.objects.get(applies_from=begins).rates["input"] == "1.5"
    assert price()["input"] == "2"
    assert run().endswith("Nothing to do.\n")
    the_list(one(prices=now))
    run("--apply")
    assert Price.objects.filter(applies_from=begins).latest("version").rates["input"] == "2"
    assert run().endswith("Nothing to do.\n")


@pytest.mark.parametrize("by_hand", ["desk", "file"])
def test_a_price_by_hand_is_kept_until_it_is_adopted(the_list, model, finance, by_hand):
    own = {"input": "1.9", "output": "8", "margin": "1.2"}
    if by_hand == "desk":
        set_price(model, own, where="a/m", created_by=finance)
    else:
        load_catalog({"models": [{"id": "a/m", "upstreams": ["main"], "price": own}]})
    the_list(one(prices=rates(input="2.5", output="8")))
    said = run("--apply")
    assert "kept, as the price is by hand" in said
    assert "1.9 -> 2.5" in said
    assert price()["input"] == "1.9"
    run("--apply", "--adopt", "a/*")
    assert price()["input"] == "2.5"
    assert run().endswith("1 the same\nNothing to do.\n")


def test_a_price_by_hand_for_a_day_to_come_is_one_by_hand(the_list, finance):
    load_catalog({"upstreams": [UPSTREAM], "models": []})
    model = Model.objects.create(slug="a/m")
    own = {"input": "1.9", "output": "8", "applies_from": (timezone.now() + timedelta(days=9)).isoformat()}
    set_price(model, own, where="a/m", created_by=finance)
    the_list(one(prices=rates(input="2.5", output="8")))
    assert "kept, as the price is by hand" in run("--apply", "--by", finance.email)
    assert (Price.objects.count(), PriceProposal.objects.count()) == (1, 0)


def test_a_margin_by_hand_leaves_the_rates_to_the_list(the_list, model, finance):
    set_price(model, {"input": "2", "output": "8", "margin": "1.5"}, where="a/m", created_by=finance)
    the_list(one(prices=rates(input="2.5", output="8")))
    run("--apply")
    assert price() == {"input": "2.5", "output": "8", "margin": "1.5000"}


def test_half_as_much_again_is_for_one_and_any_more_is_for_two(the_list, model, finance):
    the_list(one(prices=rates(input="3", output="4")))
    run("--apply")
    assert price()["input"] == "3"
    the_list(one(prices=rates(input="4.500001", output="4")))
    assert "by more than 50 %, so a second of finance confirms it" in run()
    with pytest.raises(CommandError, match="name who proposes them: --by EMAIL, of finance"):
        run("--apply")
    run("--apply", "--by", finance.email)
    assert price()["input"] == "3"
    assert PriceProposal.objects.get().state == "proposed"


def test_the_share_is_a_setting(the_list, model, settings):
    settings.PRICE_JUMP = Decimal("0.1")
    the_list(one(prices=rates(input="2.3", output="8")))
    assert "by more than 10 %" in run()


@pytest.fixture
def proposal(the_list, model, finance) -> PriceProposal:
    the_list(one(prices=rates(input="8", output="8")))
    run("--apply", "--by", finance.email)
    return PriceProposal.objects.get()


def test_a_second_of_finance_puts_it_in_force_and_the_first_does_not(proposal, finance, second):
    now = timezone.now()
    with pytest.raises(proposals.PriceProposalError, match="somebody else"):
        proposals.approve(proposal_id=proposal.pk, by=finance, now=now)
    with pytest.raises(proposals.PriceProposalError, match="for finance"):
        proposals.approve(proposal_id=proposal.pk, by=in_role("operator"), now=now)
    assert price()["input"] == "2"
    proposals.approve(proposal_id=proposal.pk, by=second, now=now)
    assert price() == {"input": "8", "output": "8", "margin": "1.2000"}
    assert run().endswith("1 the same\nNothing to do.\n")
    with pytest.raises(proposals.PriceProposalError, match="already"):
        proposals.approve(proposal_id=proposal.pk, by=second, now=now)


def test_what_waits_is_not_proposed_again(proposal, finance):
    said = run("--apply", "--by", finance.email)
    assert "waits at the desk for a second of finance" in said
    assert said.endswith("Nothing to do.\n")
    assert PriceProposal.objects.count() == 1


def test_what_was_refused_is_kept_and_not_proposed_again(proposal, second):
    proposals.refuse(proposal_id=proposal.pk, why="A slip in the list.", by=second, now=timezone.now())
    said = run("--apply", "--by", second.email)
    assert "refused it: A slip in the list." in said
    assert said.endswith("Nothing to do.\n")
    assert PriceProposal.objects.count() == 1
    assert price()["input"] == "2"


def test_what_waits_is_outdated_when_the_list_says_something_else(proposal, the_list, finance):
    the_list(one(prices=rates(input="9", output="8")))
    run("--apply", "--by", finance.email)
    assert list(PriceProposal.objects.order_by("pk").values_list("state", flat=True)) == ["refused", "proposed"]
    the_list(one(prices=rates(input="2", output="8")))
    assert "what was proposed is outdated" in run("--apply", "--by", finance.email)
    assert not PriceProposal.objects.filter(state="proposed").exists()
    the_list(one(prices=rates(input="9", output="8")))
    run("--apply", "--by", finance.email)
    assert PriceProposal.objects.filter(state="proposed").count() == 1


def test_a_proposal_is_not_put_over_a_price_that_came_meanwhile(proposal, model, finance, second):
    set_price(model, {"input": "2.2", "output": "8"}, where="a/m", created_by=finance)
    with pytest.raises(proposals.PriceProposalError, match="another one by now"):
        proposals.approve(proposal_id=proposal.pk, by=second, now=timezone.now())
    assert price()["input"] == "2.2"


@pytest.mark.parametrize("who", ["support@staff.example.org", "nobody@example.org"])
def test_who_proposes_is_of_finance(the_list, model, who):
    in_role("support")
    the_list(one(prices=rates(input="8", output="8")))
    with pytest.raises(CommandError):
        run("--apply", "--by", who)
    assert not PriceProposal.objects.exists()


def test_all_of_a_run_is_written_or_nothing(the_list, model):
    other = {"id": "a/other", "upstreams": ["main"], "price": {"input": "1", "output": "1"}}
    load_catalog({"models": [other]}, is_listed=True)
    the_list(
        one(prices=rates(input="8", output="8")), one("other", prices=rates(input="1.1", output="1"), deprecated=True)
    )
    with pytest.raises(CommandError):
        run("--apply")
    assert price("a/other")["input"] == "1"
    assert Model.objects.get(slug="a/other").deprecated_on is None


def test_a_model_without_a_price_gets_that_of_the_list(the_list, model):
    Model.objects.create(slug="a/new")
    the_list(one(prices=rates(input="2", output="8")), one("new", prices=rates(input="1", output="3")))
    run("--apply")
    assert price("a/new") == {"input": "1", "output": "3", "margin": "1.0500"}


def test_models_are_added_with_a_way_to_an_upstream(the_list, model):
    listed = one("New-1", prices=rates(input="1", output="3"), context_window=9_000, name="New")
    the_list(one(prices=rates(input="2", output="8")), listed, one("unpriced", prices=rates()))
    assert "a/new-1: new, at main: input 1, output 3" in run("--add", "a/*", "--upstream", "main")
    assert not Model.objects.filter(slug="a/new-1").exists()
    run("--apply", "--add", "a/*", "--upstream", "main")
    made = Model.objects.get(slug="a/new-1")
    assert (made.name, made.context_window, made.listed_as) == ("New", 9_000, "a/new-1")
    assert made.routes.get().upstream_model == "New-1"
    assert run("--add", "a/*", "--upstream", "main").endswith("Nothing to do.\n")
    assert not Model.objects.filter(slug="a/unpriced").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--add", "a/*"], "--add and --upstream go together"),
        (["--add", "a/*", "--upstream", "elsewhere"], "there is no upstream 'elsewhere'"),
        (["--add", "b/*", "--upstream", "main"], "the list has no model b/\\*"),
    ],
)
def test_what_cannot_be_added_is_told(the_list, model, words, said):
    the_list(one(prices=rates(input="2", output="8")))
    with pytest.raises(CommandError, match=said):
        run(*words)


def test_models_that_their_provider_gives_up_are_marked_with_the_day_and_stay_on_offer(the_list, model):
    today = database_now().astimezone(UTC).date()
    the_list(one(prices=rates(input="2", output="8"), deprecated=True))
    assert "a/m: deprecated by its provider" in run()
    run("--apply")
    model.refresh_from_db()
    assert (model.deprecated_on, model.retired_on) == (today, None)
    the_list(one("other", prices=rates(input="2", output="8")))
    assert "a/m: retired, the list has no a/m any more" in run("--apply")
    model.refresh_from_db()
    assert (model.retired_on, model.is_active) == (today, True)
    assert catalog.load().find("a/m") is not None
    Model.objects.update(retired_on=today - timedelta(days=3))
    assert run("--apply").endswith("Nothing to do.\n")
    assert Model.objects.get().retired_on == today - timedelta(days=3)


def test_a_model_that_never_followed_the_list_does_not_retire_with_it(the_list, model):
    Model.objects.update(listed_as="")
    the_list(one("other", prices=rates(input="2", output="8")))
    assert "without a price in the list: a/m" in run("--apply")
    assert Model.objects.get().retired_on is None


def test_a_name_that_the_list_only_recognises_is_followed_under_its_own(the_list, model):
    load_catalog({"models": [{"id": "a/m-2026", "upstreams": ["main"], "price": {"input": "1", "output": "1"}}]})
    info = one(prices=rates(input="2", output="8"))
    info.match = one("m-2026").match
    the_list(info)
    assert "a/m-2026 (in the list: a/m): kept" in run()
    assert Model.objects.get(slug="a/m").retired_on is None


def test_only_some_are_looked_at(the_list, model):
    the_list(one(prices=rates(input="2.5", output="8")))
    assert run("--only", "b/*").endswith("0 the same\nNothing to do.\n")
    assert "1 changed" in run("--only", "A/M")


def test_the_shipped_catalog_takes_the_real_list_over_once(db):
    load_demo_catalog(now=database_now())
    said = run("--apply")
    assert "to confirm, 4 kept" in said
    # The list has sound and pictures made as plain output, and prices that read the same.
    by_hand = {f"openai/{name}" for name in ("gpt-3.5-turbo-instruct", "gpt-4o-mini-tts", "gpt-image-1")}
    by_hand.add("openai/gpt-4o-transcribe")
    assert {line.partition(":")[0] for line in said.splitlines() if "kept, as the price" in line} == by_hand
    assert run().endswith("24 the same\nNothing to do.\n")


def test_every_real_model_of_a_provider_with_dates_is_added_once(db):
    Upstream.objects.create(**UPSTREAM)
    run("--apply", "--add", "google/*", "--upstream", "main")
    assert Model.objects.count() > 50
    said = run("--apply", "--add", "google/*", "--upstream", "main")
    assert said.endswith("Nothing to do.\n")


def test_a_margin_that_is_scheduled_stays_from_its_day_on(the_list, model):
    day = (timezone.now() + timedelta(days=40)).date()
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    dated = {"input": "2", "output": "8", "margin": "1.3", "applies_from": begins.isoformat()}
    set_price(model, [{"input": "2", "output": "8", "margin": "1.2"}, dated], where="a/m", listed_as="a/m")
    the_list(one(prices=rates(input="2", output="8"), later=(day, rates(input="1.5", output="8"))))
    run("--apply")
    last = Price.objects.filter(applies_from=begins).order_by("-version")[0]
    assert (last.rates["input"], str(last.margin)) == ("1.5", "1.3000")
    assert price()["margin"] == "1.2000"
    assert run().endswith("Nothing to do.\n")


@pytest.mark.django_db(transaction=True)
def test_who_approves_waits_for_the_model_before_the_proposal_is_locked(proposal, second):
    """As a run does, which holds all models while it takes proposals back: either way round both would wait."""

    def approve() -> None:
        with contextlib.closing(connection):
            proposals.approve(proposal_id=proposal.pk, by=second, now=timezone.now())

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Model.objects.select_for_update(no_key=True).get()
            approved = pool.submit(approve)
            until_somebody_waits()
            PriceProposal.objects.select_for_update(nowait=True).get()
        approved.result(10)
    assert PriceProposal.objects.get().state == PriceProposal.State.POSTED


def until_somebody_waits() -> None:
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    pytest.fail("nobody waits")
