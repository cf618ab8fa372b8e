"""Requests that an upstream works on in the background, whoever waits for them."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from proxy.models.catalog import Upstream


class Job(models.Model):
    """A request that left its gateway: asked after by a task until its usage is known. Times by PostgreSQL's clock.

    Committed before its caller learns the upstream's id for it. It is open for as long as its request may be held.
    """

    generation_id = models.CharField(max_length=28, primary_key=True, db_collation="C")
    path = models.CharField(max_length=100)
    """Of the endpoint that was asked."""
    upstream = models.ForeignKey(Upstream, models.PROTECT, related_name="+", verbose_name=_("upstream"))
    upstream_model = models.CharField(max_length=200)
    upstream_request_id = models.TextField(_("upstream's request id"))
    asked = models.JSONField()
    """What its usage is judged by, beside its price: `proxy.relay.record.Held`."""
    looks = models.SmallIntegerField(_("times looked"), default=0)
    untold = models.SmallIntegerField(default=0)
    """Looks at which it was over and its usage was not told."""
    next_look_at = models.DateTimeField(_("next look"))
    ends_by = models.DateTimeField(_("ends by"), help_text=_("It is cancelled at its upstream then."))
    created_at = models.DateTimeField(_("created at"))
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        verbose_name = _("background job")
        verbose_name_plural = _("background jobs")
        indexes = [models.Index(fields=["next_look_at"], condition=Q(ended_at=None), name="job_to_look_at")]

    def __str__(self) -> str:
        return self.generation_id
