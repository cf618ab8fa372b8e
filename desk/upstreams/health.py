"""How an upstream does, in words for its page and for the first page."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from core.panels import Figure, Panel
from desk.site import Colours, asked_once
from proxy.health import rows, trying
from proxy.health.rows import DAY, HOUR, Period
from proxy.models import Upstream, UpstreamHealth

MOST_NAMED = 5
FIELDS = ("state_words", "last_success", "last_error", "last_hour", "last_day", "left_alone")


def health_of(upstream: Upstream) -> UpstreamHealth | None:
    return getattr(upstream, "health", None)


def at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else "—"


def period_words(period: Period) -> str:
    if period.share is None or period.p50 is None or period.p95 is None:
        if period.share is None:
            return _("nothing asked")
        return _("%(failed)s of %(asked)s failed (%(share)s %%)") % _counts(period)
    times = {"p50": milliseconds(period.p50), "p95": milliseconds(period.p95)}
    words = _("%(failed)s of %(asked)s failed (%(share)s %%); the answer began after %(p50)s (p50), %(p95)s (p95)")
    return words % {**_counts(period), **times}


def _counts(period: Period) -> dict[str, str]:
    asked = period.answered + period.failed
    return {"failed": f"{period.failed:,}", "asked": f"{asked:,}", "share": f"{(period.share or 0) * 100:.1f}"}


def milliseconds(seconds: float) -> str:
    return f"{seconds:.1f}\u00a0s" if seconds >= 10 else f"{seconds * 1000:,.0f}\u00a0ms"


def error_words(health: UpstreamHealth) -> str:
    """Its status and words, or what kept it from an answer."""
    said = {"connection": _("no connection"), "timeout": _("no answer in time")}.get(health.text, health.text)
    return f"{health.status or ''} {said}".strip() or _("no answer")


class Healthy:
    """Mixed into the page of upstreams."""

    @display(description=gettext_lazy("How it does"), label=Colours(works="success", fails="danger", cools="warning"))
    def does(self, upstream: Upstream) -> tuple[str, str]:
        health, now = health_of(upstream), timezone.now()
        if rows.is_broken(health, now=now):
            return "fails", _("fails")
        if rows.is_cooling(health, now=now):
            return "cools", _("left alone for a while")
        answered = health is not None and health.answered_at is not None and health.answered_at > now - DAY
        return ("works", _("works")) if answered else ("quiet", _("nothing asked"))

    @display(description=gettext_lazy("State"))
    def state_words(self, upstream: Upstream) -> str:
        words: str = self.does(upstream)[1]
        return words

    @display(description=gettext_lazy("Last success"))
    def last_success(self, upstream: Upstream) -> str:
        health = health_of(upstream)
        return at(health.answered_at if health is not None else None)

    @display(description=gettext_lazy("Last error"))
    def last_error(self, upstream: Upstream) -> str:
        health = health_of(upstream)
        if health is None or health.failed_at is None:
            return "—"
        words = f"{at(health.failed_at)}: {error_words(health)}"
        if rows.is_broken(health, now=timezone.now()):
            return format_html('<b class="text-red-700 dark:text-red-400">{}</b>', words)
        return words

    @display(description=gettext_lazy("Last hour"))
    def last_hour(self, upstream: Upstream) -> str:
        return hour_words(upstream)

    @display(description=gettext_lazy("Last 24 hours"))
    def last_day(self, upstream: Upstream) -> str:
        return day_words(upstream)

    @display(description=gettext_lazy("Cool-down"))
    def left_alone(self, upstream: Upstream) -> str:
        health, now = health_of(upstream), timezone.now()
        if health is None or health.cools_until is None or health.cools_until <= now:
            return _("none")
        left = {"seconds": f"{(health.cools_until - now).total_seconds():.0f}"}
        return _("skipped for another %(seconds)s s, where there is another upstream") % left


@asked_once
def hour_words(upstream: Upstream) -> str:
    return period_words(rows.period(upstream.pk, HOUR, now=timezone.now()))


@asked_once
def day_words(upstream: Upstream) -> str:
    return period_words(rows.period(upstream.pk, DAY, now=timezone.now()))


def tell(request: HttpRequest, tried: trying.Tried) -> None:
    """What a test came to."""
    values: dict[str, Any] = {"status": tried.status, "time": milliseconds(tried.seconds), "words": tried.text}
    if tried.outcome is trying.Outcome.WORKS:
        messages.success(request, _("It works: %(status)s after %(time)s.") % values)
    elif tried.outcome is trying.Outcome.UNTOLD:
        words = _("It answers %(status)s: it has no list of models, by which its key could be tried.")
        messages.warning(request, words % values)
    elif tried.status:
        messages.error(request, _("It fails: %(status)s after %(time)s. %(words)s") % values)
    else:
        messages.error(request, _("No answer after %(time)s: %(words)s") % values)


def panels() -> Iterable[Panel]:
    """Red where an upstream in use fails whatever it is asked, or fails half of the time."""
    found, now = rows.in_trouble(now=timezone.now()), timezone.now()
    cooling = UpstreamHealth.objects.filter(cools_until__gt=now, upstream__is_active=True).count()
    upstreams = reverse("admin:proxy_upstream_changelist")
    link = reverse("admin:proxy_upstream_change", args=[found[0][0].pk]) if len(found) == 1 else upstreams
    named = ", ".join(f"{upstream.name} ({error_words(health)[:60]})" for upstream, health in found[:MOST_NAMED])
    yield Panel(
        _("Upstreams"),
        [
            Figure(_("Upstreams that fail"), named or "0", link, "bad" if found else ""),
            Figure(_("Upstreams left alone for a while"), str(cooling), upstreams),
        ],
    )
