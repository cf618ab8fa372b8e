from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from billing import audit, desk_panels, receivers  # noqa: F401
        from billing.invoices.audit import check_invoices
        from chuizi import desk

        audit.register("invoices", check_invoices)
        desk.add_panels("billing", desk_panels.panels, permission="billing.view_wallet")
        desk.add_search(desk_panels.search, permission="billing.view_transfer")
        desk.add_story(desk_panels.story)
