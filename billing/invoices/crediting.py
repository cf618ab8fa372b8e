"""Taking invoices back: credit notes, red letters, and the tasks that want them when invoiced money goes back."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing import refunds
from billing.books.money import cents
from billing.invoices.asking import checked_amount, open_request
from billing.invoices.buyer.details import Details
from billing.invoices.core import InvoiceError, NotMovable, State, locked, move, must_not_be_own, must_say_why
from billing.invoices.facts import tell
from billing.invoices.papers import documents
from billing.invoices.papers.drawing import render
from billing.invoices.payments import free_shares
from billing.invoices.sources import NOTHING
from billing.models import CreditTask, Document, InvoiceAllocation, InvoiceRequest
from billing.outbox.kinds import Fact
from core import states

Shares = list[tuple[InvoiceAllocation, Decimal]]
LOOK_AGAIN = timedelta(minutes=10)
"""How long a refund that waits for a credit note sleeps when nobody wakes it."""


def credit(
    *,
    request_id: int,
    reason: str,
    by: User,
    now: datetime,
    amount: object = None,
    task_id: int | None = None,
    fapiao_number: str = "",
    content: bytes = b"",
) -> Document:
    """Take back `amount` of an invoice (default: all that stands) by a new negated document that refers to it.

    Of a commercial invoice that is a credit note from the same series; of a fapiao the red letter that the tax
    platform made, by its `fapiao_number`, with its file as `content` or without. What open tasks want is credited
    first, of `task_id` before all, and those tasks are done; refunds that waited for them go on. `reason` is printed.
    Raises `InvoiceError`, and `NotMovable` if nothing stands any more.
    """
    said = must_say_why(reason, field="reason", most=300)
    asked = None if amount is None else checked_amount(amount)
    with _locked(request_id, asked, task_id, said, by=by, now=now) as request:
        must_not_be_own(by, request.customer)
        document = _credit(request, asked, task_id, said, fapiao_number, content, by=by, now=now)
        tell(request, Fact.INVOICE_CREDITED, now=now, document=document)
    return document


def reissue(
    *,
    request_id: int,
    details: Details,
    reason: str,
    by: User,
    now: datetime,
    fapiao_number: str = "",
    content: bytes = b"",
) -> InvoiceRequest:
    """The buyer's details were wrong: the invoice is credited whole, and a new request with `details` (from
    `details.checked`) takes the same money, to be issued as any other. Raises `InvoiceError`.
    """
    said = must_say_why(reason, field="reason", most=300)
    with _locked(request_id, None, None, said, by=by, now=now) as request:
        must_not_be_own(by, request.customer)
        stood = {a.source_id: a.standing for a in request.allocations.all()}
        document = _credit(request, None, None, said, fapiao_number, content, by=by, now=now)
        tell(request, Fact.INVOICE_CREDITED, now=now, document=document)
        shares = free_shares(customer_id=request.customer_id, currency=request.currency, wanted=stood, now=now)
        if not shares:
            raise InvoiceError(_("The money went back: there is nothing to invoice anew."))
        again = open_request(
            customer=request.customer,
            details=details,
            currency=request.currency,
            shares=shares,
            locale=request.locale,
            now=now,
            asked_by=request.asked_by,
            entered_by=by,
            replaces=request,
        )
        tell(again, Fact.INVOICE_REPLACED, now=now)
    return again


def need_credit(
    *,
    customer_id: int,
    source_id: int,
    left: Decimal,
    reason: str,
    now: datetime,
    refund_id: int | None = None,
) -> Decimal:
    """How much of a payment is invoiced beyond `left`, what remains of it after all that went or is to go back.

    Opens tasks for what no open task wants yet, on the newest invoices first, and drops what is no longer wanted. What
    was overridden counts no longer than its money is gone.
    Zero says that nothing has to be credited first. In the payment's currency, 2 places. The caller holds the
    wallet's lock, in a transaction; `refund_id` is the refund that waits.
    """
    found = InvoiceAllocation.objects.filter(
        source_id=source_id, request__customer_id=customer_id, request__state__in=InvoiceRequest.STANDING
    )
    allocations = list(found.select_related("request").order_by("-id"))
    gone = max(NOTHING, cents(sum((a.standing for a in allocations), NOTHING) - max(left, NOTHING)))
    _forget_waivers(allocations, sum((a.waived for a in allocations), NOTHING) - gone)
    need = gone - sum((a.waived for a in allocations), NOTHING)
    tasks = list(
        CreditTask.objects.filter(
            source_id=source_id, request__customer_id=customer_id, state=CreditTask.State.OPEN
        ).order_by("id")
    )
    missing = need - sum((task.left for task in tasks), NOTHING)
    if missing < 0:
        _drop(tasks, -missing, now=now)
    for allocation in allocations if missing > 0 else []:
        wanted = sum((task.left for task in tasks if task.allocation_id == allocation.pk), NOTHING)
        share = min(missing, allocation.standing - allocation.waived - wanted)
        if share > 0:
            CreditTask.objects.create(
                allocation=allocation,
                request=allocation.request,
                refund_id=refund_id,
                source_id=source_id,
                amount=share,
                reason=reason,
                created_at=now,
            )
            missing -= share
    return need


def _forget_waivers(allocations: list[InvoiceAllocation], excess: Decimal) -> None:
    for allocation in allocations:
        less = min(excess, allocation.waived)
        if less > 0:
            excess -= less
            allocation.waived -= less
            allocation.save(update_fields=["waived"])


def override(*, task_id: int, words: str, by: User, now: datetime) -> CreditTask:
    """No credit note will be made for a task, for a reason that is kept; what waits for it goes on.

    Raises `InvoiceError`, and `NotMovable` if it is resolved already.
    """
    said = must_say_why(words, most=500)
    with locked(CreditTask.objects.values_list("request_id", flat=True).get(pk=task_id)) as request:
        must_not_be_own(by, request.customer)
        task = CreditTask.objects.select_related("allocation").get(pk=task_id)
        if task.state != CreditTask.State.OPEN:
            raise _is_already(task)
        task.allocation.waived += task.left
        task.allocation.save(update_fields=["waived"])
        _resolve(task, CreditTask.State.OVERRIDDEN, by=by, now=now, words=said)
    return task


def open_tasks_for(*, refund_id: int) -> list[CreditTask]:
    """What a refund opened and waits for, the oldest first."""
    found = CreditTask.objects.filter(refund_id=refund_id, state=CreditTask.State.OPEN)
    return list(found.select_related("request").order_by("id"))


def open_tasks(*, customer_id: int | None = None) -> list[CreditTask]:
    """Every credit note that is wanted, of a customer or of all, the oldest first: finance's queue."""
    found = CreditTask.objects.filter(state=CreditTask.State.OPEN).select_related("request__customer", "refund")
    return list((found if customer_id is None else found.filter(request__customer_id=customer_id)).order_by("id"))


def _credit(
    request: InvoiceRequest,
    asked: Decimal | None,
    task_id: int | None,
    reason: str,
    fapiao_number: str,
    content: bytes,
    *,
    by: User,
    now: datetime,
) -> Document:
    if request.state not in InvoiceRequest.STANDING:
        raise NotMovable(
            _("There is nothing to credit: this request is %(state)s.") % {"state": request.get_state_display()},
            field="state",
        )
    amount = request.amount - request.credited if asked is None else asked
    if amount > request.amount - request.credited:
        raise InvoiceError(
            _("At most %(most)s %(currency)s of it can be credited.")
            % {"most": request.amount - request.credited, "currency": request.currency}
        )
    first, shares = _first(request), _shares(request, amount, task_id)
    if request.is_fapiao:
        document = documents.record(
            request,
            shares=shares,
            fapiao_number=fapiao_number,
            content=content,
            by=by,
            now=now,
            refers_to=first,
            reason=reason,
        )
    elif first.series is None or fapiao_number or content:
        raise InvoiceError(_("The credit note of a commercial invoice is made here."), field="fapiao_number")
    else:
        document = documents.make(
            request, shares=shares, series=first.series, by=by, now=now, refers_to=first, reason=reason
        )
    for allocation, share in shares:
        allocation.credited += share
        allocation.waived = min(allocation.waived, allocation.standing)
        allocation.save(update_fields=["credited", "waived"])
        _answer_tasks(allocation, share, task_id, document, by=by, now=now)
    is_whole = amount == request.amount - request.credited
    to = State.CREDITED if is_whole else State.PARTLY_CREDITED
    move(request, to, now=now, credited=request.credited + amount)
    return document


def _first(request: InvoiceRequest) -> Document:
    return request.documents.select_related("series").get(refers_to__isnull=True)


def _shares(request: InvoiceRequest, amount: Decimal, task_id: int | None) -> Shares:
    """What of which allocation: the task's, then what other open tasks want, then the newest payments."""
    allocations = list(request.allocations.order_by("-paid_at", "-source_id"))
    wanted = {a.pk: NOTHING for a in allocations}
    first = None
    for task in request.tasks.filter(state=CreditTask.State.OPEN):
        wanted[task.allocation_id] += task.left
        if task.pk == task_id:
            first = task
    if task_id is not None and first is None:
        raise NotMovable(_("This task is resolved already."), field="state")
    taken = {a.pk: NOTHING for a in allocations}
    standing = {a.pk: a.standing for a in allocations}
    rounds = [{first.allocation_id: first.left} if first is not None else {}, wanted, standing]
    left = amount
    for most in rounds:
        for allocation in allocations:
            room = min(most.get(allocation.pk, NOTHING), allocation.standing) - taken[allocation.pk]
            if (share := min(left, room)) > 0:
                taken[allocation.pk] += share
                left -= share
    return [(a, taken[a.pk]) for a in reversed(allocations) if taken[a.pk] > 0]


def _answer_tasks(
    allocation: InvoiceAllocation, share: Decimal, task_id: int | None, document: Document, *, by: User, now: datetime
) -> None:
    tasks = list(allocation.tasks.filter(state=CreditTask.State.OPEN).order_by("id"))
    for task in sorted(tasks, key=lambda task: task.pk != task_id):
        part = min(task.left, share)
        if part <= 0:
            continue
        share -= part
        task.credited += part
        task.document = document
        task.save(update_fields=["credited", "document"])
        if task.left == 0:
            _resolve(task, CreditTask.State.DONE, by=by, now=now)


def _resolve(task: CreditTask, to: str, *, now: datetime, by: User | None = None, words: str = "") -> None:
    states.move(task, to=to, error=_is_already, resolved_by=by, resolved_at=now, words=words)
    if task.refund_id is not None:
        # Its row comes before the wallet in the lock order: only when that is let go.
        transaction.on_commit(partial(refunds.wait, refund_id=task.refund_id, problem="", until=now, now=now))


def _is_already(task: CreditTask) -> NotMovable:
    return NotMovable(_("This task is %(state)s already.") % {"state": task.get_state_display()}, field="state")


def _drop(tasks: list[CreditTask], excess: Decimal, *, now: datetime) -> None:
    """Want `excess` less, the newest tasks first."""
    for task in reversed(tasks):
        less = min(excess, task.left)
        excess -= less
        if less == task.left:
            _resolve(task, CreditTask.State.DONE if task.credited else CreditTask.State.DROPPED, now=now)
        elif less > 0:
            task.amount -= less
            task.save(update_fields=["amount"])


@contextmanager
def _locked(
    request_id: int, asked: Decimal | None, task_id: int | None, reason: str, *, by: User, now: datetime
) -> Iterator[InvoiceRequest]:
    """The request's lock, after its credit note was drawn in its series' turn; what is wrong is said under the lock."""
    request = InvoiceRequest.objects.get(pk=request_id)
    with ExitStack() as locks:
        first = _first(request) if request.state in InvoiceRequest.STANDING else None
        if first is not None and first.series is not None:
            series, most = locks.enter_context(documents.turn(first.series)), request.amount - request.credited
            shares = _shares(request, most if asked is None else min(asked, most), task_id)
            render(
                documents.draft(request, shares=shares, series=series, by=by, now=now, refers_to=first, reason=reason)
            )
        yield locks.enter_context(locked(request_id))
