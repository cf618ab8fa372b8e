from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = _("Console")

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from console.access import reauthentication

        user_logged_in.connect(reauthentication.count_login, dispatch_uid="login_confirms")
