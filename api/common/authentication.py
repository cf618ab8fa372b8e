"""Who is calling the account API: the key in the request's headers, and what it may do."""

from ipaddress import ip_network
from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView  # it imports this module, for its defaults

from accounts import roles
from accounts.keys import issuing
from accounts.keys.headers import TwoKeys, key_text
from accounts.limits import rates
from accounts.limits.policy import address_allowed
from accounts.models import ApiKey, Customer
from accounts.signals import key_refused
from core.addresses import request_address


class RateFull(APIException):
    """A rate of the account API has no room for the request."""

    status_code = 429

    def __init__(self, standing: rates.Standing) -> None:
        super().__init__(standing.refusal)
        self.wait = standing.reset  # DRF's name: seconds, in the Retry-After header


class KeyCaller:
    """The caller of the account API: a key and the customer it belongs to."""

    is_authenticated = True

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        self.customer: Customer = key.customer
        self.role = issuing.role_behind(key)
        self.pk = f"key-{key.pk}"


class ApiKeyAuthentication(BaseAuthentication):
    """DRF: `request.user` becomes a `KeyCaller`. Reads the key's row each time, so revocation is immediate."""

    def authenticate(self, request: Request) -> tuple[KeyCaller, ApiKey] | None:
        try:
            text = key_text(
                authorization=request.headers.get("Authorization", ""),
                x_api_key=request.headers.get("X-Api-Key", ""),
                x_goog_api_key=request.headers.get("X-Goog-Api-Key", ""),
            )
        except TwoKeys:
            raise AuthenticationFailed("The request names two different API keys.", code="invalid_api_key") from None
        if not text:
            return None  # what is for everybody needs none; the rest is refused by its permissions
        address = request_address(request._request)
        key = issuing.find(text)
        if key is None and issuing.is_well_formed(text):
            self._refuse_full(request, rates.count_guess(address=address))
        if key is None or not issuing.works(key, now=key.found_at):  # type: ignore[attr-defined]
            why = "unknown" if key is None else "expired or disabled"
            key_refused.send(sender=ApiKey, request=request._request, key=key, why=why)
            raise AuthenticationFailed("The API key is missing, unknown, expired or disabled.", code="invalid_api_key")
        networks = [ip_network(text, strict=False) for text in key.allowed_ips]
        if not address_allowed(address, networks):
            key_refused.send(sender=ApiKey, request=request._request, key=key, why="not from this address")
            raise PermissionDenied("This key may not be used from this address.", code="ip_not_allowed")
        standing = rates.count_request(key=key, address=address)
        request._request.rate = standing  # type: ignore[attr-defined]  # for the answer's headers
        self._refuse_full(request, standing)
        return KeyCaller(key), key

    @staticmethod
    def _refuse_full(request: Request, standing: rates.Standing | None) -> None:
        if standing is not None and standing.refusal:
            request._request.rate = standing  # type: ignore[attr-defined]
            raise RateFull(standing)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class KeyMay(BasePermission):
    """DRF: whether the key's scopes and its maker's role allow the operation (`accounts.roles.API`)."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method == "OPTIONS":
            return True
        match = request._request.resolver_match
        method = "GET" if request.method == "HEAD" else str(request.method)
        operations = roles.API.get(str(match.url_name) if match is not None else "", {})
        if method not in operations and method not in view.allowed_methods:
            return True  # nothing takes it: 405
        who = caller(request)
        need = operations.get(method)
        missing = roles.missing(need, scopes=who.key.scopes, role=who.role) if need else "a right"
        if missing:
            raise PermissionDenied(f"This key may not do this: it lacks {missing}.", code="key_not_allowed")
        return True


def caller(request: Request) -> KeyCaller:
    """Who an authenticated request of the account API comes from."""
    found: object = request.user
    if not isinstance(found, KeyCaller):
        raise AuthenticationFailed("The API key is missing.", code="invalid_api_key")
    return found
