"""What is kept of requests: by upstreams, so that a later one may name it, and here for who sends one again."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer


class Kept(models.Model):
    """An id of an upstream's: of an answer that it stores, or of a part of one. Whose it is, and where it lies.

    Written with the usage of the answer. One row an id and customer, by the id's SHA-256.
    """

    pk = models.CompositePrimaryKey("customer_id", "digest")
    customer = models.ForeignKey(
        Customer, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("customer")
    )
    digest = models.BinaryField(max_length=32)
    account = models.CharField(_("account"), max_length=100)
    generation_id = models.CharField(max_length=28, db_collation="C")
    tokens = models.BigIntegerField()
    """What naming it adds to a request's input, at most."""
    expires_at = models.DateTimeField(_("expires at"), db_index=True)

    class Meta:
        verbose_name = _("kept by an upstream")
        verbose_name_plural = _("kept by upstreams")

    def __str__(self) -> str:
        return f"{self.digest.hex()[:8]} of {self.customer_id}"


class OnceRow(models.Model):
    """A request that may be sent again: by its `Idempotency-Key`, or by an official client that tries again.

    One row a customer and `digest`, which stands for that key, or for the whole request. What became of it stands with
    its generation; here is its answer alone.
    """

    pk = models.CompositePrimaryKey("customer_id", "digest")
    customer = models.ForeignKey(
        Customer, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("customer")
    )
    digest = models.BinaryField(max_length=32)
    asked = models.BinaryField(max_length=32)
    """Of the whole request: another one may not come with the same key."""
    generation_id = models.CharField(max_length=28, db_collation="C")
    expires_at = models.DateTimeField(_("expires at"), db_index=True)
    wanted_at = models.DateTimeField(null=True)
    """Another process waits for the answer, and the one that has it is to write it here."""
    status = models.SmallIntegerField(null=True)
    """200 where the answer is here, 0 where it never will be, None as long as that is open."""
    answer = models.BinaryField(null=True)
    """Head and body as they were sent, compressed and encrypted."""

    class Meta:
        db_table = "proxy_once"
        verbose_name = _("request done once")
        verbose_name_plural = _("requests done once")
        indexes = [
            models.Index(
                fields=["generation_id"], condition=Q(wanted_at__isnull=False, status=None), name="once_wanted"
            )
        ]

    def __str__(self) -> str:
        return f"{self.digest.hex()[:8]} of {self.customer_id}"
