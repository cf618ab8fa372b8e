"""What upstreams were asked and may bill, beside what was charged to customers."""

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from desk.queues import Queue
from desk.site import ExactSearch, ReadOnlyAdmin
from proxy.models import UNKNOWN, Attempt, Job


class UnknownFilter(Queue):
    """Those that their upstream may bill, and nobody knows for how much."""

    title = gettext_lazy("for staff")
    parameter_name = "unknown"
    CHOICES = (("1", gettext_lazy("usage unknown"), lambda rows: rows.filter(UNKNOWN)),)


@admin.register(Attempt)
class AttemptAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = (
        *(
            "generation_id",
            "number",
            "ended_at",
            "upstream",
            "model",
            "outcome",
            "used",
            "stated_cost",
            "purchase_cost",
        ),
        "purchase_currency",
    )
    list_select_related = ("upstream", "model")
    list_filter = (UnknownFilter, "outcome", "upstream")
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    search_fields = ("generation_id", "upstream_request_id")
    search_help_text = gettext_lazy("A request's id in full (gen-...), or the upstream's own for it.")
    list_per_page = 50

    @display(description=gettext_lazy("tokens in, out"))
    def used(self, attempt: Attempt) -> str | None:
        return f"{attempt.input_tokens:,}, {attempt.output_tokens:,}" if attempt.is_known else None

    def found(self, term: str) -> Q:
        return Q(generation_id=term) | Q(upstream_request_id=term)


def job_words(generation_id: str) -> str | None:
    """For the request's page; None where it is no job."""
    job = Job.objects.filter(pk=generation_id).first()
    if job is None:
        return None
    said = {"id": job.upstream_request_id, "looks": job.looks, "end": localize(localtime(job.ends_by))}
    if job.ended_at is not None:
        return _("%(id)s: has ended, asked for %(looks)s times") % said
    return _("%(id)s: asked for %(looks)s times, is cancelled at %(end)s") % said


def attempts_link(generation_id: str) -> str | None:
    """To those that stand beside a request; None where there are none."""
    if not (count := Attempt.objects.filter(generation_id=generation_id).count()):
        return None
    where = reverse("admin:proxy_attempt_changelist", query={"q": generation_id})
    return format_html('<a class="underline" href="{}">{}</a>', where, count)
