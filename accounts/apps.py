from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from accounts import desk_panels
        from chuizi import desk

        desk.add_search(desk_panels.search)
        desk.add_story(desk_panels.story)
