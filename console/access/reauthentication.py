"""Who they are is asked again before an act that outlives a stolen session: a new key, a refund, an invoice's details.

allauth asks the same before addresses and second factors change. Nothing is asked for `REAUTHENTICATION_TIMEOUT` after
a login or the last answer.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.login import record_authentication
from django.http import HttpRequest, HttpResponse

View = TypeVar("View", bound=Callable[..., HttpResponse])


def confirmed_lately(view: View) -> View:
    """A decorator: a POST waits in the session until the person has confirmed, then goes on as it was sent."""
    return cast(View, reauthentication_required(view, enabled=_is_an_act))


def _is_an_act(request: HttpRequest) -> bool:
    return request.method == "POST"


def count_login(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """Signal: whoever has just logged in need not confirm it."""
    record_authentication(request, user, method="login", reauthenticated=True)
