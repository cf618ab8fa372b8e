"""Who may call which model: the key, its address, its models, the standing of its customer."""

import re
from collections.abc import Callable
from functools import partial
from time import monotonic

from accounts.keys.headers import TwoKeys, key_text
from accounts.limits.free import count_free
from accounts.limits.policy import KeyPolicy
from core.addresses import client_address
from proxy.admission import queue
from proxy.batches.threads import in_thread
from proxy.errors import Refusal, account_suspended, invalid_key, key_ended
from proxy.exchange import Exchange
from proxy.gateway.process import Process
from proxy.once import rows as once_rows
from proxy.once.claims import is_looked_up
from proxy.prices.catalog import Entry

KEY_IN_ADDRESS = re.compile(rb"(?:^|&)(?:api_)?key=")


def no_model(name: str) -> Refusal:
    return Refusal(404, "model_not_found", f"There is no model {name[:100]!r} here.", param="model")


def policy_refusal(policy: KeyPolicy, address: str) -> Refusal | None:
    """Why a key may not be used from this address, if that can be told without the locked rows: active and suspended
    stand there too, and rule.
    """
    if policy.ends <= monotonic():
        return key_ended(purse=policy.purse)
    if not policy.may_call:
        words = "This key may not call models: its scopes or its maker's role forbid it."
        return Refusal(403, "key_not_allowed", words)
    if not policy.allows_address(address):
        return Refusal(403, "ip_not_allowed", "This key may not be used from this address.")
    return None


def model_refusal(policy: KeyPolicy, entry: Entry, name: str) -> Refusal | None:
    """Why a key may not use a model that its caller names so: of one that its group does not see nothing is told."""
    if policy.visible and not policy.visible & entry.names:
        return no_model(name)
    if not policy.models.allows(entry.names):
        return Refusal(403, "model_not_allowed", f"This key may not use {entry.slug}.", param="model")
    return None


class Rights(Process):
    """What a request is refused for before anything is held, by the key that it brings."""

    async def _authenticate(self, exchange: Exchange) -> tuple[str, KeyPolicy, str]:
        """The key's digest, its policy, and the client's address."""
        try:
            text = key_text(
                authorization=exchange.header(b"authorization"),
                x_api_key=exchange.header(b"x-api-key"),
                x_goog_api_key=exchange.header(b"x-goog-api-key"),
            )
            if exchange.repeats(b"authorization", b"x-api-key", b"x-goog-api-key"):
                raise TwoKeys
        except TwoKeys:
            raise Refusal(401, "invalid_api_key", "The request names two different API keys.") from None
        if not text and KEY_IN_ADDRESS.search(exchange.scope["query_string"]):
            words = "A key in the address ends up in logs, so it is not read: send it as a header."
            raise Refusal(401, "invalid_api_key", words)
        address = client_address(peer=exchange.peer, forwarded_for=exchange.lines(b"x-forwarded-for"))
        sha256, policy = await self._keyring.find(text, address=address)
        if policy_refusal(policy, address) is not None:
            policy = await self._read_again(sha256, partial(policy_refusal, address=address))
        return sha256, policy, address

    async def _check_model(self, sha256: str, policy: KeyPolicy, entry: Entry, name: str) -> KeyPolicy:
        """The policy that allows a model; `name` is what the caller calls it. Raises `Refusal`."""
        if model_refusal(policy, entry, name) is None:
            return policy
        return await self._read_again(sha256, partial(model_refusal, entry=entry, name=name))

    async def _read_again(self, sha256: str, refusal_of: Callable[[KeyPolicy], Refusal | None]) -> KeyPolicy:
        """The policy as it is now, before it refuses: what its customer allowed since counts from the next request."""
        policy = await self._keyring.reload(sha256)
        if policy is None:
            raise invalid_key()
        if (refusal := refusal_of(policy)) is not None:
            raise refusal
        return policy

    async def _refuse_penniless(self, policy: KeyPolicy, exchange: Exchange) -> None:
        """Before a large body is read: whoever has nothing, or may not spend, sends it in vain.

        Which model it is for stands in the body: where the key may use one that is free, it has to be read.
        """
        balance, is_suspended = await in_thread(queue.standing)(policy.customer_id)
        if is_suspended:
            raise account_suspended()
        free = self._catalog.free
        if balance <= 0 and not (free and policy.models.allows(free)):
            if is_looked_up(exchange.headers) and await in_thread(once_rows.has_any)(policy.customer_id):
                return  # what was paid for before may be sent again
            raise Refusal(402, "insufficient_balance", f"The balance is ${balance:f}. Top up to go on.")

    async def _count_free(self, sha256: str, policy: KeyPolicy, address: str) -> KeyPolicy:
        """Count a request for which nothing is held; a key that changed since it was read is read again."""
        while True:
            standing = await in_thread(count_free)(policy)
            if standing.is_known:
                break
            policy = await self._read_again(sha256, partial(policy_refusal, address=address))
        if not standing.is_active:
            raise key_ended(purse=policy.purse)
        if standing.is_suspended:
            raise account_suspended()
        if standing.rate is not None and standing.rate.refusal:
            headers = {"Retry-After": str(standing.rate.reset), **standing.rate.headers}
            raise Refusal(429, "rate_limit_exceeded", standing.rate.refusal, headers=headers)
        return policy
