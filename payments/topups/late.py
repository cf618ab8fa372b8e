"""A payment that came after its order was given up: it is credited first, then kept or sent back.

That decision has a transaction of its own. The payment is kept at the stored quote while the rate has moved less than
LATE_RATE_DRIFT, else it goes back. Lock order: the top-up, the wallet, holds.
"""

import logging
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from billing import refunds
from payments.models import TopUp
from payments.topups import fx

log = logging.getLogger(__name__)


def decide(*, topup_id: int, now: datetime) -> None:
    """Decide about a late payment, once; a repeat changes nothing. What a debt keeps of it is shown to staff."""
    with transaction.atomic():
        topup = TopUp.objects.select_for_update(no_key=True).get(pk=topup_id)
        if not topup.is_late:
            return
        problem = topup.problem
        if fx.has_moved(topup.fx_rate, now=now):
            back = _send_back(topup, now=now)
            if back < topup.amount:
                problem = f"paid late: {back:.2f} of {topup.amount} USD go back, the wallet does not have the rest"
                log.error("top-up %s: %s", topup.number, problem)
        TopUp.objects.filter(pk=topup_id).update(
            is_late=False, next_poll_at=None, failures=0, failure="", problem=problem[:200]
        )


def _send_back(topup: TopUp, *, now: datetime) -> Decimal:
    """As much of it as the wallet has; it cannot be spent meanwhile. What goes back, USD."""
    locale = topup.request.get("locale") or "en"
    with translation.override(locale):
        reason = _("Your payment for %(number)s came after its time, and the exchange rate had moved.") % {
            "number": topup.number
        }
    refund = refunds.send_back(
        customer=topup.customer, amount=topup.amount, reason=reason, reference=topup.number, locale=locale, now=now
    )
    return refund.amount if refund is not None else Decimal(0)
