from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from allauth.mfa.signals import authenticator_added
        from django.db.models.signals import post_migrate

        from accounts import desk_panels, second_factor, staff, staff_groups
        from chuizi import deploy, desk  # noqa: F401 - the import registers its check

        desk.add_search(desk_panels.search, permission="accounts.view_customer")
        desk.add_story(desk_panels.story)
        staff.connect()
        post_migrate.connect(staff_groups.fill, dispatch_uid="staff_groups")
        authenticator_added.connect(second_factor.count_activation, dispatch_uid="second_factor_activated")
