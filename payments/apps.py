import sys

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = _("Payments")

    def ready(self) -> None:
        from billing import attachments, invoices, rates, refunds
        from billing.audit.run import register
        from billing.discrepancies import sources
        from billing.models import Paper
        from billing.months import closing as month_end
        from billing.outbox import kinds, objects, readers
        from payments import refunds as refunding
        from payments.audit import check_topups
        from payments.automatic import looking
        from payments.automatic.audit import check_automatic
        from payments.closing import of_payments
        from payments.disputes import facts as of_disputes
        from payments.disputes.audit import check_disputes
        from payments.invoices.audit import check_invoiced
        from payments.invoices.sources import topups_of
        from payments.models import Method
        from payments.providers import registry
        from payments.refunds.audit import check_refunds
        from payments.statements.audit import check_statements
        from payments.statements.clearing import check_clearing
        from payments.statements.matching import account_of
        from payments.topups import fx, receipts

        invoices.register(topups_of)
        refunds.when_stopped(refunding.drop_planned)
        for code, label in Method.choices:
            sources.register(sources.Source(code, label, account=account_of))
        month_end.register("payments", of_payments)
        rates.register("CNY", fx.newest)
        attachments.register(Paper.Kind.RECEIPT, receipts.attached)
        objects.register(kinds.Shown.DISPUTE, of_disputes.shown)
        readers.register(looking.READER, looking.FACTS, looking.read)
        register("top-ups", check_topups)
        register("automatic top-ups", check_automatic)
        register("statements", check_statements)
        register("clearing", check_clearing)
        register("refunds", check_refunds)
        register("disputes", check_disputes)
        register("invoiced payments", check_invoiced)
        if "collectstatic" not in sys.argv:  # builds run without the providers' secrets
            registry.check()
