"""Keys that spend from one purse alone: a budget's. They work only as long as the key that they were made with."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

CHILDREN_MOVE = (
    "UPDATE accounts_keymeter SET version = version + 1"
    " WHERE key_id = ANY(ARRAY(SELECT key_id FROM accounts_childkey WHERE made_with_id = NEW.id))"
)
"""When a key changes gateways read the policies of its children again, too."""


def counts_itself(key: str) -> str:
    """SQL: that a key's requests count within its maker's caps by themselves. What a key sets aside for a child counts
    there as a whole, so that the child's requests do not.
    """
    return f"NOT EXISTS (SELECT FROM accounts_childkey c WHERE c.key_id = {key} AND c.made_with_id IS NOT NULL)"


class ChildKey(models.Model):
    """What makes a key a child. Written with the key, in one transaction, and never changed."""

    key = models.OneToOneField(
        "accounts.ApiKey", on_delete=models.PROTECT, primary_key=True, related_name="child", verbose_name=_("key")
    )
    purse = models.CharField(
        _("purse"), max_length=60, db_collation="C", help_text=_("The hold that its calls spend from: budget:7.")
    )
    made_with = models.ForeignKey(
        "accounts.ApiKey",
        on_delete=models.PROTECT,
        null=True,
        related_name="children",
        verbose_name=_("made with"),
        help_text=_("The key that it ends with; empty where a member made it on a page."),
    )

    class Meta:
        verbose_name = _("child key")
        verbose_name_plural = _("child keys")

    def __str__(self) -> str:
        return f"key {self.key_id} of {self.purse}"
