"""The first large prompt of a model whose vocabulary is here is held at what it has, before anything was learned."""

import os
import signal
import warnings
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from accounts.keys import issuing
from core.clock import database_now
from proxy.learning import counter
from proxy.learning.guess import KNOWN_AFTER, Ratio, guess_of
from proxy.models import Generation
from proxy.prices.bounds import Material
from proxy.prices.loading import load_catalog
from tests.conftest import pay_in
from tests.proxy.conftest import catalog
from tests.proxy.learning.conftest import counting_processes
from tests.proxy.learning.test_vocabularies import source
from tests.proxy.metrics_text import metric
from tests.spoken import CHAT, MESSAGES, RESPONSES, Spoken
from tests.upstream import answer, usage

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import bpe_openai

pytestmark = pytest.mark.usefixtures("own_counter")
INPUT, OUTPUT = Decimal("10.5"), Decimal(42)
"""USD a million, with the margin."""
TEXT = "\n".join([*source("code")[:1_500], *source("chinese")[:300], *source("json")[:200]])
TRUE = len(bpe_openai.get_encoding("o200k_base").encode_ordinary(TEXT))


@pytest.fixture
def paid(gateway, upstream, make_customer):
    """20 USD that were paid long ago, and the gateway's client is its customer's."""
    load_catalog(catalog(upstream, id="openai/gpt-4.1", upstream_model="gpt-4.1"))
    gateway.look_at_catalog()
    customer = make_customer(name="Agent")
    pay_in(customer, "20", at=database_now() - timedelta(days=30))
    key = issuing.issue(customer=customer, name="k", now=database_now())
    gateway.client.headers["Authorization"] = f"Bearer {key.text}"
    return customer


def ask(gateway, spoken: Spoken, text: str = TEXT) -> Generation:
    """In a session of its own."""
    headers = {"X-Session-Id": uuid4().hex}
    done = gateway.client.post(spoken.path, json={**spoken.says(text), "model": "gpt-4.1"}, headers=headers)
    assert done.status_code == 200, done.text
    return Generation.objects.get(pk=done.headers["x-generation-id"])


@pytest.mark.parametrize("spoken", [CHAT, RESPONSES], ids=str)
@pytest.mark.parametrize("caller", [None, MESSAGES], ids=["as it came", "translated"])
def test_a_first_large_prompt_is_held_at_what_its_vocabulary_counts(gateway, paid, spoken, caller):
    done = ask(gateway, caller or spoken)
    assert (done.guess["by"], done.guess["cached"]) == ("vocabulary", 0)
    careful = TRUE * Decimal("1.05")
    assert careful <= done.guess["input"] <= careful * Decimal("1.1")
    assert done.held == Decimal(done.guess["cost"])
    assert careful * INPUT <= 10**6 * done.held - 100 * OUTPUT <= careful * INPUT * Decimal("1.1")
    assert done.bound > len(TEXT.encode()) * INPUT / 10**6, "what it can cost is what it was"


def test_where_nobody_counts_in_time_it_is_held_as_ever(gateway, upstream, paid, monkeypatch):
    upstream.json = answer(usage=usage(TRUE, 5))
    monkeypatch.setattr(counter, "REST_SECONDS", 0.0)
    counted = ask(gateway, CHAT)
    [process] = counting_processes()
    monkeypatch.setattr(counter, "WAIT_SECONDS", 0.1)
    before = metric(gateway, "chuizi_prompt_counts_total", outcome="too slow")
    os.kill(process, signal.SIGSTOP)
    slow = ask(gateway, CHAT)
    os.kill(process, signal.SIGKILL)
    assert metric(gateway, "chuizi_prompt_counts_total", outcome="too slow") == before + 1
    before = metric(gateway, "chuizi_prompt_counts_total", outcome="failed")
    dead = ask(gateway, CHAT)
    assert metric(gateway, "chuizi_prompt_counts_total", outcome="failed") == before + 1
    assert {slow.bound, dead.bound} == {counted.bound}
    assert not (slow.guess and slow.guess["by"] == "vocabulary")
    assert counted.held < min(slow.held, dead.held) < counted.bound


def test_a_smaller_prompt_and_a_model_of_another_family_are_not_counted(gateway, paid, upstream):
    assert ask(gateway, CHAT, "word " * 2_000).guess is None
    load_catalog(catalog(upstream, id="other/m"))
    gateway.look_at_catalog()
    done = gateway.client.post(CHAT.path, json={**CHAT.says(TEXT), "model": "other/m"})
    assert Generation.objects.get(pk=done.headers["x-generation-id"]).guess is None
    assert counting_processes() == []


def test_a_count_that_is_far_below_what_the_provider_told_is_not_believed():
    own = Ratio(ratio=600_000, ratio_spread=10_000, output=100, output_spread=10, requests=20)
    text = Material(text_bytes=100_000, wide=0)

    def guess(**more):
        return guess_of(text, limit=100, warm=None, tokenized=30_000, **more)

    assert guess(ratio=own).by == "learned"
    assert guess(ratio=replace(own, requests=KNOWN_AFTER - 1)).by == "vocabulary"
    assert guess(ratio=replace(own, is_general=True)).by == "vocabulary"
    assert guess(ratio=replace(own, ratio=310_000)).by == "vocabulary"
