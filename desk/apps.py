from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DeskConfig(AppConfig):
    name = "desk"
    verbose_name = _("Desk")

    def ready(self) -> None:
        from allauth.mfa.signals import authenticator_added

        from core import panels
        from desk import second_factor, trail
        from desk.bills import panel as bills
        from desk.first_page import books, gateway, payments, people
        from desk.upstreams import health as upstreams

        panels.add_panels("billing", books.panels, permission="billing.view_wallet")
        panels.add_panels("payments", payments.panels, permission="payments.view_topup")
        panels.add_panels("proxy", gateway.panels, permission="proxy.view_generation")
        panels.add_panels("upstreams", upstreams.panels, permission="proxy.view_upstream", kept=5)
        panels.add_panels("bills", bills.panels, permission="proxy.view_upstreambill")
        panels.add_search(people.search, permission="accounts.view_customer")
        panels.add_search(books.search, permission="billing.view_transfer")
        panels.add_search(payments.search, permission="payments.view_topup")
        panels.add_search(payments.offers, permission="payments.replay_notifications")
        panels.add_search(gateway.search, permission="proxy.view_generation")
        for room in (people, books, payments, gateway):
            panels.add_story(room.story)
        trail.connect()
        authenticator_added.connect(second_factor.count_activation, dispatch_uid="second_factor_activated")
