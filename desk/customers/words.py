"""What a customer's page tells in words: what its owners want to be warned of, how far it may go below zero."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.models import Customer
from billing.books.allowance import SHARE, NoAllowance, Overrun, Payments, allowance, why_none
from billing.models import Wallet
from billing.warnings import setting
from core.amounts import written
from core.clock import database_now
from desk.site import asked_once

NONE = {
    NoAllowance.OFF: gettext_lazy("nothing: the setting OVERRUN_LIMIT is 0"),
    NoAllowance.NEVER_PAID: gettext_lazy("nothing: this customer has not paid in"),
    NoAllowance.DISPUTED: gettext_lazy("nothing, as a payment is disputed"),
    NoAllowance.WRITTEN_OFF: gettext_lazy("nothing, as a debt was written off"),
    NoAllowance.TAKEN_BACK: gettext_lazy("nothing, as all that was paid in went back"),
}


class Warned:
    """A customer's page tells what its owners want to be warned of."""

    @display(description=gettext_lazy("Owners are warned of"))
    def warned(self, customer: Customer) -> str:
        return warned_words(customer)


@asked_once
def warned_words(customer: Customer) -> str:
    """What the owners set, and who set it when."""
    row = setting.current(customer)
    words = []
    if row.low_balance is not None:
        words.append(_("a balance below %(line)s") % {"line": written(row.low_balance, places=2)})
    if row.monthly_budget is not None:
        spent = setting.month_spent(customer, now=database_now())
        values = {"budget": written(row.monthly_budget, places=2), "spent": written(spent, places=4)}
        words.append(_("a monthly budget of %(budget)s, %(spent)s of it spent") % values)
    if row.caps:
        words.append(_("caps of keys and members"))
    if row.weekly_summary:
        words.append(_("the week, on Mondays"))
    if not words:
        return _("Nothing.")
    return f"{'; '.join(words)} ({row.changed_by or _('the operator')}, {row.changed_at:%Y-%m-%d %H:%M})"


@asked_once
def overrun_of(customer: Customer) -> str:
    """As `overrun_words`, now."""
    return overrun_words(customer, now=database_now())


def overrun_words(customer: Customer, *, now: datetime) -> str:
    """How far usage may take the wallet below zero and why, and what open requests may take of that."""
    wallet = Wallet.objects.get(customer=customer)
    payments = Payments(wallet.paid_in, wallet.first_paid_at, wallet.paid_again, wallet.disputed, wallet.written_off)
    overrun = Overrun(settings.OVERRUN_LIMIT, timedelta(days=settings.OVERRUN_AFTER_DAYS))
    reason = why_none(payments, overrun=overrun, now=now)
    if customer.is_suspended:
        words = _("nothing while suspended")
    elif reason is NoAllowance.TOO_NEW and wallet.first_paid_at is not None:
        day = f"{wallet.first_paid_at + overrun.after:%Y-%m-%d}"
        words = _("nothing before %(day)s, or a second payment on a later day than the first") % {"day": day}
    elif reason is not None:
        words = str(NONE[reason])
    else:
        said = {
            "most": written(allowance(payments, overrun=overrun, now=now), places=4),
            "share": f"{SHARE * 100:f}".rstrip("0").rstrip("."),
            "paid": written(wallet.paid_in, places=2),
            "limit": written(overrun.limit, places=2),
        }
        words = _("by %(most)s: %(share)s %% of the %(paid)s paid in and not taken back, at most %(limit)s") % said
    opened = _("open requests may cost %(exposure)s beyond what is held") % {
        "exposure": written(wallet.exposure, places=4)
    }
    return f"{words}; {opened}"
