from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from billing import receivers  # noqa: F401  the last one listens
        from billing.audit import run
        from billing.audit.days import check_days
        from billing.audit.entries import check_entries
        from billing.bonus.audit import check_codes, check_grants
        from billing.budgets.audit import check_budgets
        from billing.discrepancies import resolving  # noqa: F401  this one, too
        from billing.invoices.audit import check_invoices
        from billing.months import closing, periods
        from billing.outbox import alerts, kinds, letters, mail, objects, readers
        from billing.statements import closing as statements

        checks.register(periods.check_zone, checks.Tags.database)
        run.register("invoices", check_invoices)
        run.register("bonus", check_grants)
        run.register("codes", check_codes)
        run.register("budgets", check_budgets)
        run.register("closed days", check_days)
        run.register("journal entries", check_entries)
        readers.register(mail.READER, letters.LETTERS, letters.read)
        readers.register(alerts.READER, alerts.SUBJECTS, alerts.read)
        objects.register(kinds.Shown.ACCOUNT, objects.account)
        objects.register(kinds.Shown.BUDGET, objects.budget)
        closing.register("billing", closing.of_the_books)
        statements.connect()
