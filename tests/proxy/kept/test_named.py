"""What an upstream keeps is named by the customer whose it is, at the account where it lies, and by nobody else."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import httpx2 as httpx
import pytest
from aiohttp import web
from django.db.models import F

from accounts.keys import issuing
from accounts.models import Customer
from chuizi.asgi import gateway as application
from proxy.kept import rows
from proxy.models import Generation, Kept, Upstream
from tests.conftest import NOW
from tests.proxy.protocols.seam.test_seam import json

ANSWER = {"words": "hi", "used": {"in": 300, "out": 50}, "no": "n1", "parts": ["p1", "p2"]}


@pytest.fixture
def made(served, one) -> str:
    """An answer of the first account's, and its id."""
    one.answers["/toy"] = json(**ANSWER)
    assert ask(served).status_code == 200
    return "n1"


@pytest.fixture
def eve(served, make_customer) -> Iterator[httpx.Client]:
    """Another customer's client."""
    issued = issuing.issue(customer=make_customer("10", "Eve"), name="eve", now=NOW)
    headers = {"Authorization": f"Bearer {issued.text}"}
    with httpx.Client(base_url=served.url, timeout=30, headers=headers) as client:
        yield client


def ask(served: Any, *, model: str = "toy/words", **said: Any) -> httpx.Response:
    answer: httpx.Response = served.client.post("/toy/kept", json={"model": model, "say": "x", **said})
    return answer


def switch_off(served: Any, name: str = "one") -> None:
    Upstream.objects.filter(name=name).update(is_active=False)
    served.look_at_catalog()


def test_ids_are_kept_by_their_digests_with_the_tokens_that_they_bring(served, made, customer):
    found = {bytes(row.digest).hex(): row for row in Kept.objects.all()}
    assert {name: (found[rows.digest(name)].tokens) for name in ("n1", "p1", "p2")} == {"n1": 350, "p1": 50, "p2": 50}
    row = found[rows.digest("n1")]
    generation = Generation.objects.get()
    assert (row.customer_id, row.account, row.generation_id) == (customer.pk, "mine", generation.pk)
    assert generation.metered_at is not None
    assert row.expires_at - generation.metered_at == pytest.approx(timedelta(days=30), abs=timedelta(seconds=60))


def test_what_is_not_to_be_stored_is_not_kept(served, one):
    one.answers["/toy"] = json(**ANSWER)
    assert ask(served, store=False).status_code == 200
    assert not Kept.objects.exists()


def test_a_conversation_goes_on_at_its_account_and_holds_what_is_kept(served, made, one, other):
    Upstream.objects.filter(name="one").update(priority=3)  # which would be asked last
    served.look_at_catalog()
    answer = ask(served, after=[made, "p2"])
    assert answer.status_code == 200
    assert (len(one.asked), other.asked) == (2, [])
    first, second = Generation.objects.order_by("id")
    # A part of what is named is within it; both bodies are bytes that are tokens.
    bytes_more = len(b',"after":["n1","p2"]')
    assert second.bound - first.bound == (350 + bytes_more) * Decimal("0.0000105")


@pytest.mark.parametrize("whose", ["nobody", "another", "expired", "forgotten"])
def test_who_may_not_name_it_is_told_the_same(served, made, one, eve, whose):
    name, client = made, served.client
    if whose == "another":
        client = eve
    elif whose == "expired":
        Kept.objects.update(expires_at=F("expires_at") - timedelta(days=30))
    elif whose == "forgotten":
        one.answers["/kept/n1"] = json(deleted=True)
        assert client.delete("/toy/kept/n1").json() == {"deleted": True}
    else:
        name = "n9"
    asked = len(one.asked)
    named = {"model": "toy/words", "say": "x", "after": [name]}
    for answer in (client.get(f"/toy/kept/{name}"), client.post("/toy/kept", json=named)):
        assert (answer.status_code, answer.json()) == (404, {"toy_error": "not_found", "status": 404})
    assert len(one.asked) == asked
    assert Generation.objects.count() == 1


def test_an_account_that_is_gone_or_fails_is_waited_for_and_no_other_is_asked(served, made, one, other):
    one.answers["/toy"] = web.Response(status=500)
    failing = [ask(served, after=[made]).status_code for _ in range(6)]
    assert set(failing) == {502, 503}
    for trouble in application._client.cooldown._troubles.values():
        trouble.until = monotonic() + 50  # whatever the time that the test takes
    asked = len(one.asked)
    refused = ask(served, after=[made])
    assert (refused.status_code, len(one.asked)) == (503, asked)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    application._client.cooldown._troubles.clear()
    switch_off(served)
    for answer in (ask(served, after=[made]), served.client.get("/toy/kept/n1")):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
    assert other.asked == []
    assert Generation.objects.exclude(state__in=("metered", "released", "settled")).count() == 0


def test_ids_of_two_accounts_and_a_model_that_is_elsewhere_are_refused(served, made, one, other):
    other.answers["/toy"] = json(**{**ANSWER, "no": "n2", "parts": []})
    assert ask(served, model="toy/other").status_code == 200
    asked = len(one.asked), len(other.asked)
    assert ask(served, after=["n1", "n2"]).status_code == 400
    assert ask(served, model="toy/other", after=["n1"]).status_code == 400
    assert (len(one.asked), len(other.asked)) == asked
    assert Generation.objects.count() == 2


def test_what_its_upstream_has_lost_is_not_found(served, made, one):
    one.answers["/kept/n1"] = web.json_response({"message": "key sk-1 has no n1"}, status=404)
    answer = served.client.get("/toy/kept/n1")
    assert (answer.status_code, answer.json()["toy_error"]) == (404, "not_found")


def test_a_hostile_upstream_names_an_id_twice_or_anothers(served, made, one, eve):
    """Each customer names its own; the usage is written all the same."""
    one.answers["/toy"] = json(**{**ANSWER, "no": "n1", "parts": ["n1", "p1", "p1", "x" * 9_000]})
    assert eve.post("/toy/kept", json={"model": "toy/words", "say": "x"}).status_code == 200
    assert Kept.objects.filter(digest=bytes.fromhex(rows.digest("n1"))).count() == 2
    assert not Generation.objects.exclude(state="metered").exists()


def test_usage_that_comes_too_late_keeps_nothing(make_generation: Callable[..., Generation], customer: Customer):
    held, gone = make_generation(cost=None), make_generation(cost=None)
    Generation.objects.filter(pk=gone.pk).update(state="released")
    for generation in (held, gone, held):
        rows.write(rows.rows_of(generation.pk, rows.Keeping("mine", (generation.pk,)), whole=5, written=2))
    assert list(Kept.objects.values_list("generation_id", "tokens")) == [(held.pk, 5)]
    assert rows.tidy() == 0
    Kept.objects.update(expires_at=NOW - timedelta(days=300))
    assert (rows.tidy(), Kept.objects.count()) == (1, 0)
