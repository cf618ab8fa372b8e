from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProxyConfig(AppConfig):
    name = "proxy"
    verbose_name = _("Gateway")

    def ready(self) -> None:
        from billing.audit import run
        from billing.books import entries, reversals
        from billing.discrepancies import sources
        from billing.statements import usage
        from proxy.bills import comparing as bills
        from proxy.purchases.accounts import of_upstreams
        from proxy.purchases.audit import check_purchases
        from proxy.purchases.margin_audit import check_margin
        from proxy.records import monthly
        from proxy.rerating.audit import check_rerates
        from proxy.settlement.audit import check_generations
        from proxy.settlement.reversals import corrections, netted
        from proxy.settlement.sums_audit import check_sums

        run.register("generations", check_generations)
        run.register("purchases", check_purchases)
        run.register("margin", check_margin)
        run.register("sums of days", check_sums)
        run.register("re-ratings", check_rerates)
        reversals.register("requests", netted)
        reversals.register_corrections("re-ratings", corrections)
        entries.offer("upstreams", of_upstreams)
        usage.register("requests", monthly.used)
        sources.register(sources.Source(bills.SOURCE, _("upstreams"), account=bills.account_of))
