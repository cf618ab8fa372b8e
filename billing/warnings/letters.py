"""What warnings and weekly summaries say, by mail and on the pages."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.limits.periods import zone_of
from accounts.people.names import told
from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact

WORDS = (Fact.BALANCE_LOW, Fact.BUDGET_REACHED, Fact.WEEK_SUMMARY)
"""The kinds that have words here."""
PAGES = {"member": "/console/team", "budget": "/console/budgets"}


def letter(event: Event) -> mail.Letter:
    """The mail to the owners."""
    data = event.data
    with translation.override(data["locale"]):
        if event.kind == Fact.WEEK_SUMMARY:
            subject, body, page = _("Your week"), _week(data), "/console/usage"
        elif event.kind == Fact.BALANCE_LOW:
            subject, body, page = _("Your balance is low"), sentence(event.kind, data), "/console/topup"
        else:
            refused = data["needed"] is not None
            cap = _("A budget refuses requests") if data["of"] == "budget" else _("A cap refuses requests")
            subject = cap if refused else _("%(percent)s %% is spent") % data
            name = data["name"] if data["of"] == "member" else told(data["name"])  # a member's is a confirmed address
            page = PAGES.get(data["of"], "/console/keys")
            body = sentence(event.kind, {**data, "name": name})
        body += f"\n\n{settings.SITE_URL}{page}"
        body += "\n" + _("What you are told of, and how:") + f" {settings.SITE_URL}/console/settings"
        body = mail.signed(body)
    return mail.Letter(to=mail.owners_of(event.customer_id), about=event.subject, subject=subject, body=body)


def sentence(kind: str, data: dict[str, Any]) -> str:
    """What a warning says, in the language that is on."""
    if kind == Fact.BALANCE_LOW:
        values = {"level": usd(data["level"]), "line": usd(data["line"])}
        return _("The balance is %(level)s, below the %(line)s that you want to be told of.") % values
    values = {
        "whose": _whose(data),
        "percent": data["percent"],
        "limit": usd(data["limit"]),
        "spent": usd(data["spent"]),
        "period": _period(data["period"]),
    }
    if data["needed"] is not None:
        values |= {"held": usd(data["held"]), "needed": usd(data["needed"])}
        text = _(
            "%(whose)s: a request was refused. Of %(limit)s %(period)s, %(spent)s are charged and %(held)s are held for"
            " requests under way; it needed %(needed)s."
        )
    elif data["of"] == "budget":
        text = _("%(whose)s: %(spent)s are spent of its %(limit)s, %(percent)s %%.")
    elif data["of"] == "account":
        text = _("%(whose)s: %(spent)s are spent of the budget of %(limit)s %(period)s, %(percent)s %%.")
    else:
        text = _("%(whose)s: %(spent)s are spent of the cap of %(limit)s %(period)s, %(percent)s %%.")
    return text % values + _resets(data)


def usd(amount: str) -> str:
    """As people read it: two decimals, more where there are any."""
    exact = Decimal(amount)
    return f"${exact:.2f}" if exact == round(exact, 2) else f"${exact.normalize():f}"


def _whose(data: dict[str, Any]) -> str:
    words = {
        "account": _("Account “%(name)s”"),
        "key": _("Key “%(name)s”"),
        "member": _("Member %(name)s"),
        "budget": _("Budget “%(name)s”"),
    }
    return words[data["of"]] % data


def _period(period: str) -> str:
    return {"day": _("a day"), "week": _("a week"), "month": _("a month"), "total": _("in all")}[period]


def _resets(data: dict[str, Any]) -> str:
    if data["resets_at"] is None:
        return ""
    at = datetime.fromisoformat(data["resets_at"]).astimezone(zone_of(data["time_zone"]))
    return " " + _("It begins anew on %(at)s.") % {"at": f"{at:%Y-%m-%d %H:%M} ({data['time_zone']})"}


def _week(data: dict[str, Any]) -> str:
    values = {name: usd(data[name]) for name in ("used", "paid_in", "granted", "refunded", "level")}
    lines = [
        _("From %(from)s to %(to)s:") % data,
        "",
        _("Used by requests: %(used)s") % values,
        _("Topped up: %(paid_in)s") % values,
    ]
    if Decimal(data["granted"]):
        lines.append(_("Bonus: %(granted)s") % values)
    if Decimal(data["refunded"]):
        lines.append(_("Refunded: %(refunded)s") % values)
    return "\n".join([*lines, _("Balance now: %(level)s") % values])
