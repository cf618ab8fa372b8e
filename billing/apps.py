from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from billing import audit, desk_panels, periods, receivers  # noqa: F401
        from billing.day_audit import check_days
        from billing.invoices.audit import check_invoices
        from chuizi import desk

        checks.register(periods.check_zone, checks.Tags.database)
        audit.register("invoices", check_invoices)
        audit.register("closed days", check_days)
        desk.add_panels("billing", desk_panels.panels, permission="billing.view_wallet")
        desk.add_search(desk_panels.search, permission="billing.view_transfer")
        desk.add_story(desk_panels.story)
