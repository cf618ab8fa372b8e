"""Celery tasks of the books."""

from celery import shared_task
from django.utils import timezone

from billing.bonus import ending as bonus_ending
from billing.bonus import entering
from billing.budgets import ending
from billing.months import journal
from billing.outbox import alerts, events, mail
from billing.statements import closing as statements
from billing.warnings import notices, weekly
from core.clock import database_now


@shared_task(name="billing.tasks.send_mail")
def send_mail() -> None:
    """Read the facts that mail tells, and send the mail that is waiting."""
    mail.send_due(now=timezone.now())


@shared_task(name="billing.tasks.watch")
def watch() -> None:
    """Tell the operator what turned red or green on the desk's first page."""
    alerts.watch(now=timezone.now())
    alerts.post_due(now=timezone.now())


@shared_task(name="billing.tasks.tidy")
def tidy() -> None:
    """Forget facts of long ago that all have read, and warnings of long ago."""
    events.forget(now=database_now())
    notices.forget(now=database_now())


@shared_task(name="billing.tasks.summarize_weeks")
def summarize_weeks() -> None:
    """Write to owners who want it what their account used, on its Monday at 08:00."""
    weekly.send_due(now=database_now())


@shared_task(name="billing.tasks.end_budgets")
def end_budgets() -> None:
    """Give back what is left of budgets whose time is up, or whose key nobody can use any more."""
    ending.end_due(now=database_now())


@shared_task(name="billing.tasks.end_bonus")
def end_bonus() -> None:
    """Take back bonus whose time is up, and announce what ends within a week."""
    bonus_ending.end_due(now=database_now())
    entering.forget_tries(now=database_now())


@shared_task(name="billing.tasks.close_days")
def close_days() -> None:
    """Store the totals of the days that are over."""
    journal.close_days(now=timezone.now())


@shared_task(name="billing.tasks.audit")
def audit() -> None:
    """The nightly audit; its result stands on the desk's first page."""
    journal.run_audit(now=timezone.now())


@shared_task(name="billing.tasks.close_statements")
def close_statements() -> None:
    """Close the months of customers that are over."""
    statements.close_due(now=database_now())
