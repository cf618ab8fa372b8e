"""Pages about oneself: the language."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import get_supported_language_variant
from django.views import i18n
from django.views.decorators.http import require_POST

from accounts.models import User


@require_POST
def set_language(request: HttpRequest) -> HttpResponseBase:
    """Django's own switch; a member's choice is kept for the mails too."""
    response = i18n.set_language(request)
    if isinstance(request.user, User):
        try:
            language = get_supported_language_variant(request.POST.get("language", ""))
        except LookupError:
            return response
        User.objects.filter(pk=request.user.pk).update(language=language)
    return response
