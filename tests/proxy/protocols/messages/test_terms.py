"""`speed` and `inference_geo`: on offer where the price has rates for them, held at the dearest that is left open."""

from decimal import Decimal

import pytest

from proxy.prices.loading import load_catalog
from proxy.protocols.base import BadRequest
from tests.proxy.conftest import PRICE, catalog, only_generation
from tests.proxy.protocols.messages.asking import MESSAGES, entry, read, sent
from tests.spoken import MESSAGES as SPOKEN
from tests.spoken import event, message, text_events

VARIANTS = [
    {"when": {"speed": "fast"}, "input": "60", "output": "240"},
    {"when": {"inference_geo": "us"}, "input": "11", "output": "44"},
]
pytestmark = pytest.mark.parametrize("spoken", [SPOKEN], ids=str)


def test_what_has_no_rates_is_refused_by_name(spoken):
    for name, said in (("speed", "fast"), ("inference_geo", "us"), ("inference_geo", "eu")):
        with pytest.raises(BadRequest) as refused:
            MESSAGES.check(read(**{name: said}), entry())
        assert refused.value.param == name
    with pytest.raises(BadRequest):
        MESSAGES.check(read(inference_geo="eu"), entry(variants=VARIANTS))


@pytest.mark.parametrize("said", [5, "", "a b", "x" * 21, ["fast"], {"a": 1}])
def test_what_is_no_short_word_is_refused(spoken, said):
    with pytest.raises(BadRequest):
        read(speed=said)


def test_it_is_sent_as_it_came_and_held_at_the_dearest_that_is_left_open(spoken):
    model, plain = entry(variants=VARIANTS), entry()
    assert MESSAGES.check(read(), plain).asked is None
    for fields, dearest in (
        ({}, "11"),  # where it runs is left to the account, its speed is the usual one
        ({"inference_geo": "global"}, "10"),
        ({"inference_geo": "us"}, "11"),
        ({"speed": "fast"}, "60"),
        ({"speed": "standard", "inference_geo": "global"}, "10"),
    ):
        call = MESSAGES.check(read(**fields), model)
        assert fields.items() <= sent(call).items()
        assert model.price.worst_at(call.terms)[0].rates["input"] == Decimal(dearest) * model.price.margin / 10**6


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "served", "cost", "terms"),
    [
        ({"speed": "fast"}, {"speed": "fast"}, 6, {"asked": "fast", "served": "fast"}),
        ({"speed": "fast"}, {"speed": "standard"}, 1, {"asked": "fast", "served": "standard"}),
        ({"speed": "fast"}, {}, 6, {"asked": "fast"}),
        ({}, {"speed": "standard", "inference_geo": "us"}, Decimal("1.1"), {"asked": "standard", "served": "standard"}),
        ({}, {"speed": "fast"}, 1, {"asked": "standard", "served": "fast"}),
        ({"inference_geo": "global"}, {"inference_geo": "us"}, 1, {"asked": "standard"}),
    ],
)
def test_charged_is_what_was_served_and_never_more_than_asked(gateway, upstream, fields, served, cost, terms, stream):
    load_catalog(catalog(upstream, price={**PRICE, "variants": VARIANTS}))
    gateway.look_at_catalog()
    used = {"input_tokens": 20, "output_tokens": 5, **served}
    upstream.json = message(usage=used)
    delta = {"stop_reason": "end_turn"}
    upstream.events = [
        *text_events("one", usage=used),
        event("message_delta", delta=delta, usage={"output_tokens": 5}),
        event("message_stop"),
    ]
    if stream:
        with gateway.stream(**fields) as response:
            response.read()
    else:
        assert gateway.chat(**fields).status_code == 200
    found = only_generation()
    assert found.cost == Decimal("0.00042") * cost
    if served:
        assert {whose: said["speed"] for whose, said in found.terms.items() if "speed" in said} == terms


@pytest.mark.parametrize(("geo", "terms"), [("us", {"served": {"inference_geo": "us"}}), ("not_available", None)])
def test_what_was_served_is_kept_though_its_price_goes_by_nothing(gateway, upstream, geo, terms):
    upstream.json = message(usage={"input_tokens": 20, "output_tokens": 5, "inference_geo": geo})
    gateway.chat()
    assert only_generation().terms == terms
