"""The staff desk: requests, what upstreams were asked for them and may bill, and who served them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display

from accounts.people.customers import customers_with
from core.amounts import written
from core.clock import database_now
from desk.queues import Queue
from desk.site import CappedPaginator, Colours, ExactSearch, ReadOnlyAdmin, ReasonForm, form_page
from desk.trail import recorded, staff_of
from proxy.models import UNKNOWN, Attempt, Generation, Job, Lease
from proxy.records.ended import why_words
from proxy.records.held import story_of
from proxy.settlement import flags, quarantine

STATE_COLOURS = Colours(held="warning", metered="info", settled="success", quarantined="danger")


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


def hold_words(generation: Generation) -> str:
    """For the request's page, a line a step."""
    story = story_of(generation)
    first = _("%(held)s held at first") % {"held": written(story.first, places=8)}
    if story.is_below_bound:
        first += " " + _("of a bound of %(bound)s, within the allowance") % {
            "bound": written(story.first_bound, places=8)
        }
    lines = [
        f"+{change.seconds} s: {'+' if change.amount > 0 else ''}{written(change.amount, places=8)}"
        f" = {written(change.held, places=8)} ({change.words})"
        for change in story.changes
    ]
    if story.guess:
        lines.insert(0, story.guess)
    if story.ended_early:
        lines.append(_("No more could be held, so the answer was ended."))
        lines.append(why_words(generation))
    return format_html_join("", "<div>{}</div>", ((line,) for line in (first, *lines)))


def attempts_link(generation_id: str) -> str | None:
    """To those that stand beside a request; None where there are none."""
    if not (count := Attempt.objects.filter(generation_id=generation_id).count()):
        return None
    where = reverse("admin:proxy_attempt_changelist", query={"q": generation_id})
    return format_html('<a class="underline" href="{}">{}</a>', where, count)


class FlaggedFilter(Queue):
    """A choice without a count behind it."""

    title = gettext_lazy("for staff")
    parameter_name = "flagged"
    CHOICES = (("1", gettext_lazy("to look at"), lambda rows: rows.filter(is_flagged=True)),)


@admin.register(Generation)
class GenerationAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = ("id", "created_at", "customer", "coloured_state", "cost", "held", "model", "settlement_reason")
    list_select_related = ("customer", "model")
    list_filter = ("state", FlaggedFilter)
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = gettext_lazy("An id in full (gen-...), or a member's email address.")
    list_per_page = 50
    paginator = CappedPaginator
    actions_detail = ("try_again", "release", "looked_at")
    exclude = ("hold_changes", "ended_by")
    readonly_fields = ("hold", "attempts", "job")

    def has_handle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm(quarantine.RIGHT))

    def offers(self, obj: Generation, act: str) -> bool:
        if act == "looked_at":
            return obj.is_flagged and obj.state not in flags.OPEN
        return obj.state == Generation.State.QUARANTINED

    @action(description=gettext_lazy("Try again"), icon="refresh", permissions=["handle"])
    def try_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Have a quarantined request settled again."""
        text = _("It is settled within seconds, or quarantined again: put right first what kept it from that.")
        form = forms.Form(request.POST if request.method == "POST" else None)
        act = partial(quarantine.try_again, generation_id=object_id, by=staff_of(request))
        return self._act(request, object_id, form, act, title=_("Try again"), text=text)

    @action(description=gettext_lazy("Release uncharged"), icon="undo", permissions=["handle"])
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give a quarantined request's hold back."""
        text = _("Its hold goes back and nothing is charged. What it used stays on its row, flagged.")
        form = ReasonForm(request.POST or None)
        act = partial(quarantine.release, generation_id=object_id, by=staff_of(request), now=database_now())
        return self._act(request, object_id, form, act, title=_("Release uncharged"), text=text)

    @action(description=gettext_lazy("Looked at"), icon="visibility", permissions=["handle"])
    def looked_at(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a request off what there is to look at."""
        text = _("It is no longer listed as something to look at. Nothing is charged or given back.")
        form = ReasonForm(request.POST or None)
        act = partial(flags.clear, generation_id=object_id, by=staff_of(request))
        return self._act(request, object_id, form, act, title=_("Looked at"), text=text)

    def _act(
        self,
        request: HttpRequest,
        object_id: str,
        form: forms.Form,
        act: Callable[[], None],
        *,
        title: str,
        text: str,
    ) -> HttpResponse:
        generation = get_object_or_404(Generation, pk=object_id.replace("\0", ""))
        if request.method == "POST" and form.is_valid():
            why = form.cleaned_data.get("reason", "")
            try:
                with recorded(request, generation, f"{title}: {generation}", why=why):
                    act()
            except (quarantine.QuarantineError, flags.FlagError) as error:
                messages.error(request, str(error))
            else:
                messages.success(request, _("Done."))
            return redirect("admin:proxy_generation_change", generation.pk)
        return form_page(request, model_admin=self, obj=generation, form=form, title=title, button=title, text=text)

    @display(description=gettext_lazy("How the hold came about"))
    def hold(self, generation: Generation) -> str:
        return hold_words(generation)

    @display(description=gettext_lazy("Attempts"))
    def attempts(self, generation: Generation) -> str | None:
        """Those that stand beside it."""
        return attempts_link(generation.pk)

    @display(description=gettext_lazy("background job"))
    def job(self, generation: Generation) -> str | None:
        """How one stands that its upstream works on."""
        return job_words(generation.pk)

    @display(description=gettext_lazy("State"), label=STATE_COLOURS)
    def coloured_state(self, generation: Generation) -> tuple[str, str]:
        return generation.state, generation.get_state_display()

    def found(self, term: str) -> Q:
        if "@" in term:
            return Q(customer_id__in=customers_with(term))
        return Q(pk=term)


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("host", "started_at", "renewed_at", "swept_at")
    ordering = ("-renewed_at",)
