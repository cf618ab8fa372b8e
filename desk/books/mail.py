"""Mail for staff: what was written, what hangs, and how that ends."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from billing.models import Mail
from billing.outbox import mail
from desk.queues import Queue
from desk.site import ReadOnlyAdmin, WhyForm, form_page, row_id
from desk.trail import recorded

RIGHT = "billing.handle_mail"


class MailQueue(Queue):
    CHOICES = (
        (
            "hanging",
            gettext_lazy("Does not leave"),
            lambda rows: rows.filter(pk__in=Mail.objects.hanging(now=timezone.now())),
        ),
        (
            "fileless",
            gettext_lazy("Left without its file"),
            lambda rows: rows.filter(pk__in=Mail.objects.without_file(now=timezone.now())),
        ),
    )


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "to", "about", "subject", "sent_at", "attempts", "problem")
    list_filter = (MailQueue,)
    search_fields = ("to__exact", "about__exact")
    search_help_text = gettext_lazy("An address in full, or the number of a refund or a document.")
    ordering = ("-id",)
    actions_detail = ("send_again", "put_aside")

    @action(description=gettext_lazy("Send again"), icon="send", permissions=["handle"])
    def send_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Try it from the beginning."""
        row = get_object_or_404(Mail, pk=row_id(object_id))
        form = forms.Form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            with recorded(request, row, f"Sent again: {row}"):
                is_done = mail.send_again(mail_id=row.pk, now=timezone.now())
            return self._done(request, row, is_done=is_done)
        title = button = _("Send again")
        text = _("To %(to)s: %(subject)s") % {"to": row.to, "subject": row.subject}
        return form_page(request, model_admin=self, obj=row, form=form, title=title, button=button, text=text)

    @action(description=gettext_lazy("Put aside"), icon="archive", permissions=["handle"])
    def put_aside(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give it up: nobody tries again, and it no longer counts as hanging."""
        row = get_object_or_404(Mail, pk=row_id(object_id))
        form = WhyForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            why = form.cleaned_data["why"]
            with recorded(request, row, f"Put aside: {row}", why=why):
                is_done = mail.put_aside(mail_id=row.pk, now=timezone.now())
            return self._done(request, row, is_done=is_done)
        title = button = _("Put aside")
        text = _("To %(to)s: %(subject)s") % {"to": row.to, "subject": row.subject}
        return form_page(request, model_admin=self, obj=row, form=form, title=title, button=button, text=text)

    def offers(self, obj: Mail, act: str) -> bool:
        return obj.sent_at is None and (act == "send_again" or obj.put_aside_at is None)

    def has_handle_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not request.user.is_authenticated:
            raise PermissionDenied
        return request.user.has_perm(RIGHT)

    @staticmethod
    def _done(request: HttpRequest, row: Mail, *, is_done: bool) -> HttpResponse:
        if is_done:
            messages.success(request, _("Done."))
        else:
            messages.error(request, _("It has left, or was put aside already."))
        return redirect("admin:billing_mail_change", row.pk)
