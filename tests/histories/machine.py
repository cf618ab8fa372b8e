"""What may happen to money, and what has to be right then: after each step the audit, in the end what providers say."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from accounts.keys import issuing
from accounts.models import Customer, User
from accounts.signals import customer_created
from billing import refunds
from billing.audit.run import audit
from billing.books.grants import grant_bonus
from billing.models import AdjustmentProposal, CreditTask, InvoiceRequest, RefundRequest, Transfer
from payments import refunds as refunding
from payments.disputes import write_offs
from payments.inbox import catch_up, notifications
from payments.models import AutoTopUp, Discrepancy, Dispute, Notification, RefundPart, TopUp
from payments.providers.sheets import StatementNotReady
from payments.statements import reconcile
from payments.topups import fx, opening, polling
from proxy.models import Generation, Model, PurchaseBatch, Rerate
from proxy.prices.loading import load_catalog
from proxy.purchases import posting
from proxy.settlement import settle
from tests.billing.invoices.invoice_steps import make_series
from tests.emptying import empty
from tests.histories.automatic import Automatic
from tests.histories.banks import Banks
from tests.histories.budgets import Budgets
from tests.histories.correcting import Correcting
from tests.histories.ending import Ending
from tests.histories.invoicing import Invoicing
from tests.histories.leaving import Leaving
from tests.histories.not_fitting import NotFitting, lines_of
from tests.histories.rerating import Rerating
from tests.histories.steps import (
    AMOUNTS,
    APART,
    CURRENCY,
    DYING,
    METHODS,
    PICK,
    SHARES,
    WHO,
    balance,
    cents,
    pick,
    refused,
)
from tests.histories.world import Clock, mortal
from tests.payments.conftest import confirmed

CLEARING = (
    "give back",
    "give back",
    "transfer",
    "transfer",
    "withdraw_transfer",
    "park_part",
    "collect",
    "bear",
    "write off",
)
WORDS = "not needed any more"


class Histories(Budgets, Ending, Automatic, Invoicing, Correcting, Rerating, Banks, NotFitting, Leaving):
    """Two customers who pay, spend and want money back; three providers; workers that die; two people at the desk."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.providers.begin()
        now, self.number = self.clock.now(), 0
        fx.set_rate(Decimal("7.12"), source="test", by=None, now=now)
        upstream = {"name": "u", "protocol": "openai", "base_url": "https://127.0.0.1/v1", "currency": "CNY"}
        places = [{"name": "u", "cost": {"input": "50", "output": "200"}}]
        model = {"id": "openai/m", "upstreams": places, "price": {"input": "10", "output": "40"}}
        load_catalog({"upstreams": [upstream], "models": [model]})
        make_series()
        self.model = Model.objects.get()
        self.staff = [User.objects.create_superuser(f"{name}@example.org", "a rather long one") for name in "xy"]
        self.customers = [self._customer(name) for name in ("Ada", "Bo")]
        self.keys = [issuing.issue(customer=customer, name="test", now=now).key for customer in self.customers]
        for who in (0, 1):
            for method in METHODS:
                self.top_up(who, method, "20.00", "paid", None, 0)

    def _customer(self, name: str) -> Customer:
        customer = Customer.objects.create(name=name)
        customer_created.send(sender=Customer, customer=customer)
        bonus, now = Decimal("0.50"), self.clock.now()
        grant_bonus(customer=customer, amount=bonus, key=f"test:{name}", reason="test", now=now)
        return confirmed(customer)

    # What customers do.

    @rule(
        who=WHO,
        method=st.sampled_from(METHODS),
        amount=AMOUNTS,
        then=st.sampled_from(("paid", "pay", "pay late", "leave", "fail", "close")),
        dies=DYING,
        apart=APART,
    )
    def top_up(self, who, method, amount, then, dies, apart):
        now, topup = self.clock.now(apart=apart), None
        with mortal(dies), refused():
            topup = opening.open_topup(customer=self.customers[who], amount=amount, method=method, now=now)
        if topup is None or not (topup.reference or topup.qr_code) or then == "leave":
            return
        with refused():
            if then in ("close", "pay late"):
                self.providers.act(topup, "close")
            if then in ("paid", "pay", "pay late"):
                self.providers.act(topup, "pay", late=then == "pay late")
            if then == "fail":
                self.providers.act(topup, "fail")
        if then == "paid":
            with mortal(dies):
                polling.poll(topup_id=topup.pk, now=self.clock.now(apart=apart))

    @rule(who=WHO, share=SHARES, then=st.sampled_from(("asked", "approved", "sent", "sent")), dies=DYING)
    def want_money_back(self, who, share, then, dies):
        customer, now = self.customers[who], self.clock.now()
        amount = cents(refunds.refundable(customer_id=customer.pk).amount * share)
        with refused():
            asked = refunds.ask(customer=customer, amount=amount, reason=WORDS, now=now)
            if then != "asked":
                refunds.approve(refund_id=asked.pk, amount=amount, by=self.staff[0], now=now, words="ok")
            if then == "sent":
                with mortal(dies):
                    refunding.send(refund_id=asked.pk, now=now)

    # What the desk does.

    @rule(index=PICK, act=st.sampled_from(("approve", "deny", "cancel")), share=SHARES, by=WHO)
    def the_desk_decides(self, index, act, share, by):
        refund = pick(RefundRequest.objects.filter(state__in=("requested", "returned", "approved")), index)
        if refund is None:
            return
        now, who = self.clock.now(), self.staff[by]
        with refused():
            if act == "approve":
                amount = cents(refund.amount * share)
                refunds.approve(refund_id=refund.pk, amount=amount, by=who, now=now, words="ok")
            elif act == "deny":
                refunds.deny(refund_id=refund.pk, words="no", by=who, now=now)
            else:
                refunds.cancel(refund_id=refund.pk, now=now)

    @rule(index=PICK, act=st.sampled_from(CLEARING), by=WHO)
    def finance_clears_up(self, index, act, by):
        who, now = self.staff[by], self.clock.now()
        with refused():
            if act == "write off":
                dispute = pick(Dispute.objects.all(), index)
                if dispute is not None and dispute.write_off is None:
                    most = write_offs.most(dispute)
                    write_offs.propose(dispute_id=dispute.pk, amount=most, reason="gone", by=who, now=now)
                elif dispute is not None:
                    write_offs.confirm(dispute_id=dispute.pk, amount=dispute.write_off, by=who, now=now)
                return
            part = pick(RefundPart.objects.exclude(state__in=("planned", "done")), index)
            if part is None:
                return
            about = {"part_id": part.pk, "by": who, "now": now}
            if act == "give back":
                refunding.give_back(**about, closed_there=False)
            elif act == "transfer":
                refunding.record_transfer(**about, reference="bank 1")
            else:
                getattr(refunding, act)(**about)

    # What providers do by themselves.

    @rule(index=PICK)
    def a_notification_arrives(self, index):
        letter = pick(self.providers.letters(), index, is_query=False)
        if letter is not None:
            assert self.providers.deliver(letter), f"{letter.provider} {letter.event}"

    @rule(
        index=PICK,
        outcome=st.sampled_from(("done", "done", "failed", "closed", "abnormal", "paid after all", "comes back")),
    )
    def a_refund_ends(self, index, outcome):
        """An abnormal one can be paid to another account in WeChat's console; a card's may come back."""
        begins_as, ends_as = AGAIN.get(outcome, ("pending", outcome))
        found = [r for r in self.providers.refunds(begins_as) if outcome != "comes back" or r["provider"] == "stripe"]
        refund = pick(found, index, is_query=False)
        if refund is not None:
            self.providers.settle(refund, ends_as)

    @rule(index=PICK, share=SHARES)
    def somebody_refunds_at_the_provider(self, index, share):
        """In its dashboard."""
        topup = pick(TopUp.objects.filter(~Q(reference="") | ~Q(qr_code="")), index)
        if topup is not None:
            with refused():
                self.providers.act(topup, "refund", amount=max(1, int(topup.charge_amount * 100 * share)))

    @rule(method=st.sampled_from(METHODS), share=SHARES)
    def a_provider_pays_out(self, method, share):
        held = self.providers.held(method)
        with refused():
            self.providers.pay_out(method, amount=int(held * share))

    # What workers do, and what time does.

    @rule(
        work=st.sampled_from(("inbox", "orders", "settle", "purchases", "send", "send", "look", "look", "events")),
        dies=DYING,
        apart=APART,
    )
    def workers_work(self, work, dies, apart):
        now = self.clock.now(apart=apart)
        for act in self._work(work, now):
            with mortal(dies):
                act()

    def _work(self, work: str, now: datetime) -> list[Callable[[], Any]]:
        if work == "settle":
            return [lambda: settle.settle_all(now=now)]
        if work == "purchases":
            return [lambda: posting.post_all_purchases(now=now)]
        if work == "events":
            return [lambda: catch_up.look_for_events(now=now)]
        if work == "inbox":
            waiting = Notification.objects.filter(processed_at__isnull=True).order_by("pk")
            return [partial(notifications.process, notification_id=found.pk, now=now) for found in waiting]
        if work == "orders":
            return [partial(polling.poll, topup_id=pk, now=now) for pk in polling.claim_due(now=now)]
        if work == "send":
            return [partial(refunding.send, refund_id=pk, now=now) for pk in refunding.claim_requests(now=now)]
        return [partial(refunding.look, part_id=pk, now=now) for pk in refunding.claim_parts(now=now)]

    @rule(what=st.sampled_from((1, 5, 40, 24 * 60, 4 * 24 * 60, 31 * 24 * 60, "7.12", "7.20", "7.60")))
    def time_passes_or_the_rate_moves(self, what):
        if isinstance(what, int):
            self.clock.pass_(timedelta(minutes=what))
            return
        made = fx.set_rate(Decimal(what), source="test", by=self.staff[0], now=self.clock.now())
        if made.needs_second:
            with transaction.atomic():
                fx.confirm(rate_id=made.pk, by=self.staff[1], now=self.clock.now())

    @rule(returns=st.booleans())
    def the_operator_decides_whether_fees_return(self, returns):
        settings.TOPUP_FEE_REFUNDED = returns

    @rule(
        name=st.sampled_from(("provider_down", "refund_no_funds", "answer_bad_signature")),
        provider=st.sampled_from(METHODS),
    )
    def a_provider_misbehaves_once(self, name, provider):
        self.providers.server.fault(name, provider=provider)

    # What is always true.

    @invariant()
    def the_audit_is_clean(self):
        if hasattr(self, "clock"):
            drifts = audit().drifts
            assert not drifts, drifts

    # In the end.

    def teardown(self) -> None:
        try:
            if hasattr(self, "clock"):
                self._come_to_rest()
                self._note()
                self.the_audit_is_clean()
                self._every_payment_is_credited_or_shown()
                self._clearing_holds_what_the_providers_hold()
                self._statements_fit()
                self.every_month_can_be_closed()
        finally:
            empty()

    def _come_to_rest(self) -> None:
        """No more outages; what was sent arrives, what is pending is paid, and everybody does what there is to do. What
        a provider never tells the end of, as Alipay of a refund that failed, is staff's after some days.
        """
        self.providers.server.clear_faults()
        arrived = set[int]()
        for hours in (2, 2, 2, 2, 4 * 24, 2, 2, 2):  # what a provider refused without a word is parked after 3 days
            for refund in self.providers.refunds():
                self.providers.settle(refund, "done")
            for letter in self.providers.letters():
                if letter.id not in arrived:
                    self.providers.deliver(letter)
                    arrived.add(letter.id)
            self.what_does_not_fit_is_looked_at()
            self.a_gateway_is_found_dead()
            self.what_is_to_be_credited_is()
            self.rerating_goes_on(None, 0)
            self.workers_look_at_balances(None, 0)
            for work in ("settle", "purchases", "inbox", "orders", "send", "look", "events"):
                self.workers_work(work, None, 0)
            self.clock.pass_(timedelta(hours=hours))
        assert not RefundPart.objects.filter(state="sending").exists()
        assert not Notification.objects.filter(processed_at__isnull=True).exists()
        assert not PurchaseBatch.objects.filter(posted_at=None).exists()
        assert not RefundRequest.objects.filter(state__in=("approved", "sending")).exists()

    def _every_payment_is_credited_or_shown(self) -> None:
        """But for what went back wholly before anybody heard of it."""
        back = Counter[str]()
        for refund in self.providers.refunds("done"):
            back[refund["order"]] += refund["amount"]
        for order in self.providers.orders():
            if order["state"] == "paid" and back[f"alipay:{order['number']}"] < order["amount"]:
                number = order["alias"] or order["number"]
                topup = TopUp.objects.get(number=number)
                assert topup.state == TopUp.State.PAID or topup.problem, number

    def _clearing_holds_what_the_providers_hold(self) -> None:
        """But for what left there and is red here, since it has no room."""
        unfit = self.shown_as_not_fitting()
        for method, currency in CURRENCY.items():
            theirs = sum(
                o["amount"] for o in self.providers.orders() if (o["provider"], o["state"]) == (method, "paid")
            )
            booked = [r for r in self.providers.refunds("done") if r not in unfit]
            theirs -= sum(r["amount"] for r in booked if r["provider"] == method)
            if method == "stripe":
                for dispute in self.providers.disputes():
                    theirs += sum(row["amount"] - row["fee"] for row in dispute["balance_transactions"])
            ours = -balance(f"clearing:{method}:{currency}")
            assert ours == Decimal(theirs) / 100, f"{method}: {ours} here, {theirs} there"

    def _statements_fit(self) -> None:
        """With their fees and payouts booked, the books say what each provider holds in the end."""
        self.providers.server.control("POST", "/settings", bills_at_once=True)
        for method in METHODS:
            today = self.clock.now().astimezone(reconcile.ZONES[method]).date()
            begun = (self.clock.now() - self.clock._ahead).astimezone(reconcile.ZONES[method]).date()
            for day in {begun, begun - timedelta(days=1)} - {today}:
                with suppress(StatementNotReady):  # what Alipay says of a day without a movement
                    reconcile.reconcile(provider=method, day=day, now=self.clock.now())
        # Stripe takes a refund's money before its customer has acted, and the refund is not through until then.
        kept = [r for r in self.providers.refunds("abnormal") if r["provider"] == "stripe"]
        unfit = self.shown_as_not_fitting()
        for method, currency in CURRENCY.items():
            ours, theirs = -balance(f"clearing:{method}:{currency}"), self.providers.held(method)
            theirs += sum(r["amount"] for r in kept if r["provider"] == method)
            theirs -= 100 * sum(line.amount - line.fee for line in lines_of(unfit).filter(provider=method))
            assert ours == Decimal(theirs) / 100, f"{method}: {ours} here, {theirs} there, payouts and fees included"
        differs = {row: {*row.detail.replace(":", " ").split()} for row in Discrepancy.objects.filter(state="open")}
        missing = [words for row, words in differs.items() if row.kind == "missing_here"]
        assert all(any(r["number"] in words for words in missing) for r in unfit), unfit
        known = {r["number"] for r in kept + unfit}
        unknown = [row for row, words in differs.items() if row.kind != "missing_here" or known.isdisjoint(words)]
        assert not unknown, [f"{row} {row.kind} {row.theirs} {row.ours} {row.detail}" for row in unknown]

    def _note(self) -> None:
        self.seen |= set(Transfer.objects.values_list("kind", flat=True))
        for model, field in STATES:
            self.seen |= {f"{model.__name__} {value}" for value in model.objects.values_list(field, flat=True)}


STATES = (
    (RefundRequest, "state"),
    (RefundPart, "state"),
    (TopUp, "state"),
    (AutoTopUp, "off_reason"),
    (Dispute, "status"),
    (Generation, "state"),
    (InvoiceRequest, "state"),
    (CreditTask, "state"),
    (Rerate, "state"),
    (AdjustmentProposal, "kind"),
    (AdjustmentProposal, "state"),
)
AGAIN = {"paid after all": ("abnormal", "done"), "comes back": ("done", "failed")}
"""What may become of a refund that had ended: where it begins, and as what it ends."""
