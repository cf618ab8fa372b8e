from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProxyConfig(AppConfig):
    name = "proxy"
    verbose_name = _("Gateway")

    def ready(self) -> None:
        from billing.audit import register
        from chuizi import desk
        from proxy import desk_panels
        from proxy.audit import check_generations

        desk.add_panels("proxy", desk_panels.panels, permission="proxy.view_generation")
        desk.add_search(desk_panels.search, permission="proxy.view_generation")
        desk.add_story(desk_panels.story)
        register("generations", check_generations)
