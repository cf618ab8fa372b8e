"""What upstreams keep of customers' requests, so that a later request may name it."""

from django.db import models
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
