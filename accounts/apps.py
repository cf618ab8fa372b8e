from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from accounts import staff_groups
        from accounts.people import notices, team
        from accounts.security import log, sessions
        from core import deploy, upgrades  # noqa: F401 - the imports register their checks

        log.connect()
        notices.connect()
        sessions.connect()
        team.connect()
        post_migrate.connect(staff_groups.fill, dispatch_uid="staff_groups")
