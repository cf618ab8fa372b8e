"""An agent's turns at once on a small wallet: those that do not fit wait for the others, and none overdraws."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.records.held import story_of
from tests.conftest import NOW, pay_in
from tests.proxy.conftest import catalog, settle
from tests.spoken import CHAT, MESSAGES, ending, text_events
from tests.upstream import STREAM, chunk, usage

SONNET = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
WORDS = "word" * 50_000
"""200 kB, of 50,000 tokens."""
TURNS = 20


@pytest.fixture(autouse=True)
def _patient(settings):
    settings.HOLD_WAIT_SECONDS = 60


@pytest.fixture
def wallet(gateway, upstream, make_customer):
    """6.00 USD that were just paid, and the gateway's client is its customer's."""
    load_catalog(catalog(upstream, max_output_tokens=64_000, context_window=200_000, price=SONNET))
    gateway.look_at_catalog()
    customer = make_customer(name="Agent")
    pay_in(customer, "6.00", at=NOW)
    gateway.client.headers["Authorization"] = f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"
    return Wallet.objects.get(customer=customer)


def turns(gateway) -> list[int]:
    marked = [{"type": "text", "text": WORDS, "cache_control": {"type": "ephemeral"}}]
    content = marked if gateway.spoken is MESSAGES else WORDS

    def ask(_number: int) -> int:
        said = {"messages": [{"role": "user", "content": content}], "max_tokens": 32_000}
        with gateway.stream(**said) as response:
            response.read()
            return response.status_code

    with ThreadPoolExecutor(TURNS) as threads:
        return list(threads.map(ask, range(TURNS)))


@pytest.mark.parametrize("spoken", [MESSAGES, CHAT], ids=str)
def test_twenty_turns_whose_cost_is_a_third_of_the_wallet_are_all_answered(gateway, upstream, wallet, spoken):
    if spoken is MESSAGES:
        used = {"input_tokens": 50, "cache_read_input_tokens": 47_500, "cache_creation_input_tokens": 2_450}
        told = [*text_events("one", usage={**used, "output_tokens": 1}), 1.0, *ending({"output_tokens": 3_000})]
    else:
        counts = usage(50_000, 3_000, prompt_tokens_details={"cached_tokens": 47_500})
        told = [*STREAM[:-2], 1.0, chunk(None, usage=counts), STREAM[-1]]
    upstream.events = told
    assert turns(gateway) == [200] * TURNS
    cost = sum(Generation.objects.values_list("cost", flat=True))
    assert Decimal("1.2") < cost < Decimal("1.8")
    first = Generation.objects.earliest("pk")
    assert story_of(first).first_bound > 6 / TURNS, "they did not all fit"
    settle()
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held, wallet.exposure) == (6 - cost, 0, 0)
    assert [drift for drift in audit().drifts if "top-ups" not in drift and "clearing" not in drift] == []


def test_a_turn_that_could_never_fit_is_refused_at_once(gateway, upstream, wallet):
    Wallet.objects.filter(pk=wallet.pk).update(held=Decimal("5.99"))
    assert gateway.chat(messages=[{"role": "user", "content": WORDS}], max_tokens=32_000).status_code == 402
    Wallet.objects.filter(pk=wallet.pk).update(held=0)
