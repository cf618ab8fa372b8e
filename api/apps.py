from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = _("Account API")

    def ready(self) -> None:
        from api.common import objects

        objects.connect()
