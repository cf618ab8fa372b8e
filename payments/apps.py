import sys

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = _("Payments")

    def ready(self) -> None:
        from billing import invoices
        from billing.audit import register
        from chuizi import desk
        from payments import desk_panels
        from payments.audit import check_topups
        from payments.dispute_audit import check_disputes
        from payments.invoice_audit import check_invoiced
        from payments.invoice_sources import topups_of
        from payments.providers import registry
        from payments.refund_audit import check_refunds

        desk.add_panels("payments", desk_panels.panels, permission="payments.view_topup")
        desk.add_search(desk_panels.search, permission="payments.view_topup")
        desk.add_story(desk_panels.story)
        invoices.register(topups_of)
        register("top-ups", check_topups)
        register("refunds", check_refunds)
        register("disputes", check_disputes)
        register("invoiced payments", check_invoiced)
        if "collectstatic" not in sys.argv:  # builds run without the providers' secrets
            registry.check()
