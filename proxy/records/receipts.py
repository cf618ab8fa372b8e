"""One request as a receipt: held, answered, settled; quantity x price; margin; charged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Customer
from billing.books.money import ZERO, charge
from billing.books.reversals import left_of
from proxy.models import Generation
from proxy.prices import catalog
from proxy.prices.sums import LineItem, line_items
from proxy.prices.units import BY_LINE, MILLION, THOUSAND
from proxy.prices.usage import Usage
from proxy.records import ended, one
from proxy.records.held import HoldStory, story_of

State = Generation.State
Reason = Generation.Reason

SHORT = {MILLION: "M", THOUSAND: "K"}
WHY = {
    Reason.CLIENT_DISCONNECTED: gettext_lazy(
        "The caller hung up before the end. The provider had worked by then; what it used is charged, nothing more."
    ),
    Reason.UPSTREAM_ERROR: gettext_lazy("The provider failed. What it did not deliver is not charged."),
    Reason.UPSTREAM_EOF: gettext_lazy("The provider broke off early. Only what it delivered is charged."),
    Reason.TIMEOUT: gettext_lazy("The provider took too long. Only what it delivered is charged."),
    Reason.ABANDONED: gettext_lazy("Our server stopped before the answer was complete. The loss is ours: no charge."),
}


@dataclass(frozen=True, slots=True)
class Line:
    """`quantity` of `label` at `price`, for so many as `per` says ("M", "K", or nothing); `amount` exact."""

    label: str
    quantity: Decimal
    price: Decimal
    per: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Receipt:
    """All amounts in USD. `charged` is None until the usage is known."""

    generation: Generation
    lines: Sequence[Line]
    margin_percent: Decimal
    margin: Decimal
    not_charged: Decimal
    """What the provider claimed beyond what the request could cost, or all of it: the house's loss."""
    given_back: Decimal
    taken: Decimal
    """What a corrected price added, days after the charge."""
    charged: Decimal | None
    """After what was given back or taken since; `generation.cost` is what was charged at first."""
    returned: Decimal | None
    """What came back of the hold."""
    from_bonus: Decimal
    from_paid: Decimal
    """What is left of the charge, by balance; as it was where all of it is given back."""
    settling_time: timedelta | None
    why: str
    hold: HoldStory

    @property
    def answering_seconds(self) -> str:
        return f"{(self.generation.generation_time_ms or 0) / 1000:.2f}"

    @property
    def settling_seconds(self) -> str | None:
        return None if self.settling_time is None else f"{max(0.0, self.settling_time.total_seconds()):.1f}"

    @property
    def is_final(self) -> bool:
        return self.generation.state in (State.SETTLED, State.RELEASED)

    @property
    def is_borne(self) -> bool:
        """Whether nothing was charged though something was used."""
        return bool(self.not_charged) and not self.generation.cost

    @property
    def is_released(self) -> bool:
        return self.generation.state == State.RELEASED


def receipt_of(*, customer: Customer, generation_id: str) -> Receipt | None:
    """The receipt of a customer's own request; another's does not exist here."""
    generation = one.find(customer=customer, generation_id=generation_id)
    if generation is None:
        return None
    items = one.line_items_of(generation)
    exact = sum((item.amount for item in items), ZERO)
    margin = generation.price.margin * (1 if generation.factor is None else generation.factor)
    with_margin = exact * margin
    known = generation.metered_at is not None or generation.state == State.RELEASED
    cost = generation.cost if known else None
    net = generation.net_cost if known else None
    left = left_of(generation.pk)
    settled, metered = generation.settled_at, generation.metered_at
    return Receipt(
        generation=generation,
        lines=[_line(item) for item in items],
        margin_percent=(margin - 1) * 100,
        margin=with_margin - exact,
        not_charged=ZERO if cost is None or not items else charge(with_margin) - cost,
        given_back=ZERO if cost is None or net is None else max(ZERO, cost - net),
        taken=ZERO if cost is None or net is None else max(ZERO, net - cost),
        charged=net,
        returned=None if cost is None else max(ZERO, generation.held - cost),
        from_bonus=left.get("bonus", ZERO),
        from_paid=left.get("paid", ZERO),
        settling_time=settled - metered if settled and metered else None,
        why=_why(generation),
        hold=story_of(generation),
    )


def _line(item: LineItem) -> Line:
    return Line(
        label=str(BY_LINE[item.unit].label),
        quantity=item.quantity,
        price=item.price,
        per=SHORT.get(BY_LINE[item.unit].per, ""),
        amount=item.amount,
    )


@dataclass(frozen=True, slots=True)
class Example:
    """What a request of a given size costs: the same sum as a receipt's, at the model's price of today."""

    slug: str
    lines: Sequence[Line]
    margin_percent: Decimal
    margin: Decimal
    charged: Decimal


def example_of(entry: catalog.Entry, *, input_tokens: int, output_tokens: int) -> Example:
    items = line_items(entry.price, Usage(input_tokens=input_tokens, output_tokens=output_tokens))
    exact = sum((item.amount for item in items), ZERO)
    return Example(
        slug=entry.slug,
        lines=[_line(item) for item in items],
        margin_percent=(entry.price.margin - 1) * 100,
        margin=exact * entry.price.margin - exact,
        charged=charge(exact * entry.price.margin),
    )


def _why(generation: Generation) -> str:
    sentences = [words] if (words := ended.why_words(generation)) else []
    if generation.settlement_reason in WHY:
        sentences.append(str(WHY[Reason(generation.settlement_reason)]))
    if generation.usage_source == Generation.UsageSource.ESTIMATED:
        sentences.append(_("The provider named no usage, so it was estimated from the prompt and what was relayed."))
    return " ".join(sentences)
