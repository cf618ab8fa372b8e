from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")

    def ready(self) -> None:
        from billing.outbox import kinds, readers
        from webhooks import deliveries, receivers  # noqa: F401  # connects them

        readers.register(deliveries.READER, kinds.EVENTS, deliveries.read)
