"""What a lost dispute left on a wallet below zero, given up: one of finance proposes it, another confirms."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, lock_wallets, post
from billing.books.money import CENT, ZERO
from billing.models import Wallet
from billing.requests.four_eyes import objection
from payments.models import Dispute


class WriteOffError(Exception):
    """A dispute that cannot be written off like this; the text is for whoever asked."""


def most(dispute: Dispute) -> Decimal:
    """What may be written off, USD at 2 places: what the dispute took, as far as the wallet is below zero."""
    if dispute.customer_id is None or dispute.is_open or dispute.written_off_at is not None:
        return ZERO
    missing = -Wallet.objects.get(pk=dispute.customer_id).paid
    return max(ZERO, min(missing, dispute.withdrawn)).quantize(CENT, rounding="ROUND_DOWN")


def propose(*, dispute_id: int, amount: Decimal, reason: str, by: User, now: datetime) -> Dispute:
    """Propose to bear `amount` USD; a later proposal replaces it. Raises `WriteOffError`."""
    if not reason.strip():
        raise WriteOffError(_("Say why."))
    with transaction.atomic():
        dispute = Dispute.objects.select_for_update(no_key=True).get(pk=dispute_id)
        if words := objection(by=by, customer_id=dispute.customer_id):
            raise WriteOffError(words)
        _must_be_possible(dispute, amount)
        dispute.write_off, dispute.write_off_reason, dispute.write_off_by = amount, reason.strip()[:300], by
        dispute.changed_at = now
        dispute.save(update_fields=["write_off", "write_off_reason", "write_off_by", "changed_at"])
    return dispute


def confirm(*, dispute_id: int, amount: Decimal, by: User, now: datetime) -> Dispute:
    """Post what another proposed: `expense:bad_debt -> paid`. Raises `WriteOffError`.

    `amount` is what whoever confirms has seen: a later proposal may have replaced it.
    """
    with transaction.atomic():
        dispute = Dispute.objects.select_for_update(no_key=True).get(pk=dispute_id)
        if dispute.write_off is None or dispute.customer_id is None:
            raise WriteOffError(_("Nobody proposed a write-off."))
        if amount != dispute.write_off:
            raise WriteOffError(_("Another amount is proposed by now: look at it again."))
        if words := objection(by=by, customer_id=dispute.customer_id, proposed_by_id=dispute.write_off_by_id):
            raise WriteOffError(words)
        wallet = lock_wallets([dispute.customer_id])[dispute.customer_id]
        _must_be_possible(dispute, dispute.write_off)
        dispute.written_off_by, dispute.written_off_at, dispute.changed_at = by, now, now
        dispute.save(update_fields=["written_off_by", "written_off_at", "changed_at"])
        posting = Posting(
            f"{dispute.ledger_key}:write_off",
            Kind.WRITE_OFF,
            house_account(chart.BAD_DEBT),
            wallet.paid_account,
            dispute.write_off,
            dispute.topup.number if dispute.topup else "",
        )
        post([posting], now=now, group=dispute.ledger_key, actor_id=by.pk)
    return dispute


def _must_be_possible(dispute: Dispute, amount: Decimal) -> None:
    if dispute.is_open:
        raise WriteOffError(_("The dispute is not decided yet."))
    if dispute.written_off_at is not None:
        raise WriteOffError(_("It is written off already."))
    limit = most(dispute)
    if not 0 < amount <= limit:
        raise WriteOffError(_("At most $%(most)s can be written off now.") % {"most": limit})
