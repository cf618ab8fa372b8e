"""What a person's own page of security shows: a table of this app."""

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _


class SecurityEvent(models.Model):
    """What happened to a person's login and keys, for their own page; thrown away after 90 days, never changed."""

    class Kind(models.TextChoices):
        LOGIN = "login", _("logged in")
        LOGOUT = "logout", _("logged out")
        LOGIN_FAILED = "login_failed", _("wrong password")
        LOCKED_OUT = "locked_out", _("too many attempts, locked for a while")
        PASSWORD_CHANGED = "password_changed", _("password changed")
        PASSWORD_RESET = "password_reset", _("password reset by mail")
        ADDRESS_ADDED = "address_added", _("address added")
        ADDRESS_PRIMARY = "address_primary", _("address made the main one")
        ADDRESS_REMOVED = "address_removed", _("address removed")
        FACTOR_ADDED = "factor_added", _("second factor set up")
        FACTOR_REMOVED = "factor_removed", _("second factor removed")
        FACTOR_USED = "factor_used", _("second factor used")
        FACTOR_FAILED = "factor_failed", _("wrong code of the second factor")
        SESSION_ENDED = "session_ended", _("session ended")
        KEY_MADE = "key_made", _("key made")
        KEY_CHANGED = "key_changed", _("key changed")
        KEY_ROTATED = "key_rotated", _("key rotated")
        KEY_ENABLED = "key_enabled", _("key enabled")
        KEY_DISABLED = "key_disabled", _("key disabled")
        KEY_DELETED = "key_deleted", _("key deleted")
        KEY_REFUSED = "key_refused", _("key refused")
        INVITED = "invited", _("invited")
        INVITATION_REVOKED = "invitation_revoked", _("invitation revoked")
        INVITATION_DECLINED = "invitation_declined", _("invitation declined")
        JOINED = "joined", _("joined an account")
        ROLE_CHANGED = "role_changed", _("role changed")
        MEMBER_REMOVED = "member_removed", _("member removed")
        LEFT = "left", _("left an account")
        RENAMED = "renamed", _("account renamed")

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+", verbose_name=_("who"))
    kind = models.CharField(_("what"), max_length=20, choices=Kind.choices)
    about = models.CharField(_("about"), max_length=120, blank=True, help_text=_("The key, or the ended session."))
    address = models.CharField(_("from where"), max_length=45, blank=True)
    request_id = models.CharField(_("request"), max_length=40, blank=True)
    at = models.DateTimeField(_("at"), db_index=True)

    class Meta:
        verbose_name = _("security event")
        verbose_name_plural = _("security events")
        indexes = [models.Index(fields=["user", "-id"], name="securityevent_user")]
        triggers = [pgtrigger.Protect(name="securityevent_unchanged", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"
