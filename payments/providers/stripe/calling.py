"""How Stripe is asked: which of its SDK's errors are a no, and lists to their end."""

from collections.abc import Mapping
from typing import Any

import stripe

from payments.providers.base import ProviderRefused, ProviderUnavailable
from payments.providers.reading import words

REFUSALS = (stripe.InvalidRequestError, stripe.CardError, stripe.AuthenticationError, stripe.PermissionError)
"""Errors by which Stripe says no. Others tell of the way there, of a body that nobody can read, of too many calls."""
NOT_FINAL = frozenset({408, 409, 425, 429})


class Caller:
    """What all of Stripe's adapter asks by."""

    _client: stripe.StripeClient

    def _listed(self, kind: Any, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A list to its end."""
        return [row.to_dict() for row in self._call(lambda: list(kind.list(params).auto_paging_iter()))]

    @staticmethod
    def _call(act: Any) -> Any:
        """What the SDK gives; its error is a refusal only where Stripe said a readable, final no."""
        try:
            return act()
        except REFUSALS as error:
            status, why = error.http_status or 0, words(f"stripe: {type(error).__name__} {error.code or ''}")
            if 400 <= status < 500 and status not in NOT_FINAL and isinstance(error.json_body, Mapping):
                raise ProviderRefused(why) from None
            raise ProviderUnavailable(why) from None
