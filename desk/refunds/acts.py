"""What staff do with a refund: each act answers with the words of what was done."""

from collections.abc import Callable

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import refunds
from billing.models import RefundRequest
from desk.site import row_id
from desk.trail import staff_of
from payments import refunds as refunding
from payments.models import RefundPart

HANDLE = "billing.handle_refunds"
FINANCE = "billing.approve_large_refunds"


def _approve(request: HttpRequest, refund: RefundRequest) -> str:
    amount, words = request.POST.get("amount", ""), request.POST.get("words", "")
    refunds.approve(refund_id=refund.pk, amount=amount, words=words, by=staff_of(request), now=timezone.now())
    return _("Approved: $%(amount)s. It is being sent.") % {"amount": amount}


def _propose(request: HttpRequest, refund: RefundRequest) -> str:
    amount = request.POST.get("amount", "")
    refunds.propose(refund_id=refund.pk, amount=amount, by=staff_of(request), now=timezone.now())
    return _("Proposed: $%(amount)s. Somebody else of finance approves it.") % {"amount": amount}


def _deny(request: HttpRequest, refund: RefundRequest) -> str:
    words = request.POST.get("words", "")
    refunds.deny(refund_id=refund.pk, words=words, by=staff_of(request), now=timezone.now())
    return _("Closed with these words: %(words)s") % {"words": words[:200]}


def _ask_back(request: HttpRequest, refund: RefundRequest) -> str:
    question = request.POST.get("words", "")
    refunds.ask_back(refund_id=refund.pk, question=question, by=staff_of(request), now=timezone.now())
    return _("Asked: %(words)s") % {"words": question[:200]}


def _part(request: HttpRequest, refund: RefundRequest) -> RefundPart:
    return get_object_or_404(refund.parts, number=row_id(request.POST.get("part", "")))


def _look(request: HttpRequest, refund: RefundRequest) -> str:
    part = _part(request, refund)
    outcome = refunding.look(part_id=part.pk, now=timezone.now())
    return _("The provider says of part %(part)s: %(outcome)s.") % {"part": part.number, "outcome": outcome.value}


def _park(request: HttpRequest, refund: RefundRequest) -> str:
    part = refunding.park_part(part_id=_part(request, refund).pk, by=staff_of(request), now=timezone.now())
    return _("Part %(part)s waits for staff.") % {"part": part.number}


def _record_transfer(request: HttpRequest, refund: RefundRequest, *, paid_there: bool = False) -> str:
    part = refunding.record_transfer(
        part_id=_part(request, refund).pk,
        reference=request.POST.get("reference", ""),
        by=staff_of(request),
        now=timezone.now(),
        paid_there=paid_there,
    )
    done = _("Confirmed: %(reference)s.")
    if part.confirmed_by_id is None:
        done = _("Recorded: %(reference)s. Somebody else confirms it.")
    words = done % {"reference": part.bank_reference}
    if others := part.same_reference:
        named = ", ".join(str(other) for other in others)
        words += " " + _("Look again: this reference is on another transfer too (%(others)s).") % {"others": named}
    return words


def _record_there(request: HttpRequest, refund: RefundRequest) -> str:
    return _record_transfer(request, refund, paid_there=True)


def _withdraw_transfer(request: HttpRequest, refund: RefundRequest) -> str:
    part = _part(request, refund)
    refunding.withdraw_transfer(part_id=part.pk, by=staff_of(request), now=timezone.now())
    return _("Taken back: %(reference)s.") % {"reference": part.bank_reference}


def _give_back(request: HttpRequest, refund: RefundRequest) -> str:
    part, is_closed = _part(request, refund), bool(request.POST.get("closed"))
    if part.has_provider and part.state == RefundPart.State.PARKED and not is_closed:
        raise refunding.PartError(_("First close it in the provider's console, and say here that you did."))
    refunding.give_back(part_id=part.pk, by=staff_of(request), now=timezone.now(), closed_there=is_closed)
    return _("Part %(part)s is the customer's balance again.") % {"part": part.number}


def _seen(request: HttpRequest, refund: RefundRequest) -> str:
    part = _part(request, refund)
    refunding.look_at_contradiction(part_id=part.pk, by=staff_of(request), now=timezone.now())
    return _("Looked at: %(words)s") % {"words": part.detail}


def _collect(request: HttpRequest, refund: RefundRequest) -> str:
    taken = refunding.collect(part_id=_part(request, refund).pk, by=staff_of(request), now=timezone.now())
    return _("Taken from the balance: $%(amount)s.") % {"amount": taken}


def _bear(request: HttpRequest, refund: RefundRequest) -> str:
    part = refunding.bear(part_id=_part(request, refund).pk, by=staff_of(request), now=timezone.now())
    return _("Proposed: somebody else of finance confirms it.") if part.excess else _("Given up.")


ACTS: dict[str, tuple[str, Callable[[HttpRequest, RefundRequest], str]]] = {
    "approve": (HANDLE, _approve),
    "propose": (HANDLE, _propose),
    "deny": (HANDLE, _deny),
    "ask": (HANDLE, _ask_back),
    "look": (HANDLE, _look),
    "park": (FINANCE, _park),
    "record-transfer": (FINANCE, _record_transfer),
    "record-there": (FINANCE, _record_there),
    "withdraw-transfer": (FINANCE, _withdraw_transfer),
    "give-back": (FINANCE, _give_back),
    "seen": (FINANCE, _seen),
    "collect": (FINANCE, _collect),
    "bear": (FINANCE, _bear),
}
OVER_THE_NETWORK = ("look", "give-back")
"""They ask a provider, which no transaction waits for."""
