"""What the pages of proposals share: two of finance, and how one of them approves or refuses."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display

from accounts.models import User
from billing.models.proposals import Proposal
from billing.requests.proposals import ProposalError
from desk.site import Colours, ReadOnlyAdmin, WhyForm, form_page, row_id
from desk.trail import recorded, staff_of

LABELS = Colours(proposed="warning", posted="success", refused="info")


class ProposalAdmin(ReadOnlyAdmin):
    """`right` is that of finance; the domain's own acts post and refuse, and raise `ProposalError`."""

    right: str
    approved_words: Any = gettext_lazy("Posted.")
    actions_detail: tuple[str, ...] = ("approve", "refuse")

    def offers(self, obj: Proposal, act: str) -> bool:
        return obj.state == Proposal.State.PROPOSED

    def post(self, proposal: Any, *, by: User, now: datetime) -> object:
        raise NotImplementedError

    def close(self, proposal: Any, *, why: str, by: User, now: datetime) -> object:
        raise NotImplementedError

    def in_words(self, proposal: Any) -> str:
        """What is proposed, a line each."""
        raise NotImplementedError

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_finance_permission(request)

    def has_finance_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(self.right)

    @display(description=gettext_lazy("State"), label=LABELS)
    def shown_state(self, proposal: Proposal) -> tuple[str, str]:
        return proposal.state, proposal.get_state_display()

    @action(description=gettext_lazy("Approve"), icon="check_circle", permissions=["finance"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        proposal = self._named(object_id)
        form = forms.Form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            text, why, act = f"Posted: {proposal}", proposal.reason, partial(self.post, proposal)
            return _decided(request, proposal, act, text=text, why=why, words=str(self.approved_words))
        return self._page(request, proposal, form, title=_("Approve"))

    @action(description=gettext_lazy("Refuse or take back"), icon="cancel", permissions=["finance"])
    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        proposal, form = self._named(object_id), WhyForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            why = form.cleaned_data["why"]
            text, act = f"Refused: {proposal}", partial(self.close, proposal, why=why)
            return _decided(request, proposal, act, text=text, why=why, words=_("Closed; nothing was posted."))
        return self._page(request, proposal, form, title=_("Refuse or take back"))

    def _page(self, request: HttpRequest, proposal: Proposal, form: forms.Form, *, title: str) -> HttpResponse:
        text = self.in_words(proposal)
        return form_page(request, model_admin=self, obj=proposal, form=form, title=title, button=title, text=text)

    def _named(self, object_id: str) -> Any:
        rows = self.model._default_manager.select_related(*self.list_select_related)
        return get_object_or_404(rows, pk=row_id(object_id))


def propose_page(
    request: HttpRequest,
    *,
    model_admin: ReadOnlyAdmin,
    form: forms.Form,
    propose: Callable[..., Proposal],
    title: str,
    text: str,
    obj: Model | None = None,
) -> HttpResponse:
    """The page with the form, or that of what `propose(by=, now=, **form.cleaned_data)` made of it."""
    if request.method == "POST" and form.is_valid():
        try:
            with recorded(request, None, why=form.cleaned_data["reason"]) as note:
                proposal = propose(**form.cleaned_data, by=staff_of(request), now=timezone.now())
                note.obj, note.text = proposal, f"Proposed: {proposal}"
        except ProposalError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, _("Proposed. Somebody else of finance approves it."))
            return _page_of(proposal)
    button = _("Propose")
    return form_page(request, model_admin=model_admin, obj=obj, form=form, title=title, button=button, text=text)


def _decided(
    request: HttpRequest, proposal: Proposal, act: Callable[..., object], *, text: str, why: str, words: str
) -> HttpResponse:
    """Do `act(by=, now=)`, record it as `text`, and say that it is done, in `words`, or why it is refused."""
    try:
        with recorded(request, proposal, text, why=why):
            act(by=staff_of(request), now=timezone.now())
    except ProposalError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, words)
    return _page_of(proposal)


def _page_of(proposal: Proposal) -> HttpResponse:
    return redirect(f"admin:{proposal._meta.app_label}_{proposal._meta.model_name}_change", proposal.pk)
