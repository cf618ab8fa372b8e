"""`Idempotency-Key`: the same key and body, sent again within 24 hours, get the first answer.

Scoped to customer, method and path. The key is claimed in the transaction that creates the row, so a crash leaves
both or neither; a concurrent twin waits. Answers are stored encrypted; 5xx and 429 are not stored.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Customer, IdempotentAnswer
from api.common.base import ApiError, exception_handler
from api.common.known import refuse_fields
from core.crypto import decrypt, encrypt, keyed_hash
from core.outside import outside

LIFETIME = timedelta(hours=24)
MOST_KEY_LENGTH = 255
TWIN_SECONDS = 20.0
NOT_STORED = frozenset({429})


class Twin(Exception):
    """The same key is being worked on by another request."""


@dataclass(slots=True)
class Claim:
    """A key that this request may use. Without the header it is empty, and does nothing."""

    customer: Customer
    route: str
    key_hash: str
    body_hash: str
    now: datetime
    is_bound: bool = False

    def bind(self, reference: str) -> None:
        """Within the transaction that creates the row: claim the key for it; raises `Twin`."""
        if not self.key_hash:
            return
        try:
            with transaction.atomic():
                self._row(status=None, body={"reference": reference}).save(force_insert=True)
        except IntegrityError:
            raise Twin from None
        self.is_bound = True

    def store(self, response: Response) -> None:
        """Keep the answer, unless it is one that asks for a second try."""
        status = response.status_code
        if not self.key_hash or (not self.is_bound and (status >= 500 or status in NOT_STORED)):
            return
        if self.is_bound and (status >= 500 or status in NOT_STORED):
            self._existing().delete()
            return
        row = self._row(status=status, body=response.data)
        if not self._existing().filter(status__isnull=True).update(status=status, body=row.body):
            with transaction.atomic():
                IdempotentAnswer.objects.bulk_create([row], ignore_conflicts=True)

    def _existing(self) -> Any:
        return IdempotentAnswer.objects.filter(customer=self.customer, route=self.route, key_hash=self.key_hash)

    def _row(self, *, status: int | None, body: Any) -> IdempotentAnswer:
        return IdempotentAnswer(
            customer=self.customer,
            route=self.route,
            key_hash=self.key_hash,
            body_hash=self.body_hash,
            status=status,
            body=encrypt(orjson.dumps(body, default=str).decode()),
            created_at=self.now,
        )


def run_once(
    request: Request,
    *,
    customer: Customer,
    now: datetime,
    act: Callable[[Claim], Response],
    show: Callable[[str], Response | None],
    takes_fields: bool = True,
) -> Response:
    """Answer a POST once per key. `act` does it, calling `bind`; `show` tells of a row that `bind` named, or None if
    it came to nothing and the request is to be done anew.

    Not `takes_fields`: a body with any is refused. Raises `ApiError` 409 `idempotency_conflict` for a key that came
    with another body.
    """
    claim = _claim(request, customer=customer, now=now)
    if (first := _first_answer(claim, show=show)) is not None:
        return first
    try:
        if not takes_fields:
            refuse_fields(request)
        response = act(claim)
    except Twin:
        return _first_answer(claim, show=show) or _conflict("The first request with this key is still at work.")
    except APIException as error:
        # What the twin did may be what stands against this one: there is one invitation, or room for one key.
        if not claim.is_bound and (first := _first_answer(claim, show=show)) is not None:
            return first
        if (told := exception_handler(error, {})) is not None:
            claim.store(told)
        raise
    claim.store(response)
    return response


def _claim(request: Request, *, customer: Customer, now: datetime) -> Claim:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > MOST_KEY_LENGTH:
        raise ApiError("The Idempotency-Key is too long.", status=400, code="validation_error")
    return Claim(
        customer=customer,
        route=f"{request.method} {request.path}"[:120],
        key_hash=keyed_hash(key, purpose="idempotency") if key else "",
        # Not orjson: it refuses large integers and lone surrogates, which a client may well send.
        body_hash=hashlib.sha256(json.dumps(request.data, default=str, sort_keys=True).encode()).hexdigest(),
        now=now,
    )


def _first_answer(claim: Claim, *, show: Callable[[str], Response | None]) -> Response | None:
    """The stored answer, if there is one; waits for a twin that is at work, and tells of its row if it died."""
    if not claim.key_hash:
        return None
    claim._existing().filter(created_at__lt=claim.now - LIFETIME).delete()
    deadline = time.monotonic() + TWIN_SECONDS
    while (row := claim._existing().first()) is not None:
        if row.body_hash != claim.body_hash:
            _conflict("This Idempotency-Key was used with another body.")
        body = orjson.loads(decrypt(row.body))
        if row.status is not None:
            return Response(body, status=row.status, headers={"Idempotency-Replayed": "true"})
        if time.monotonic() > deadline or row.created_at < claim.now - timedelta(seconds=TWIN_SECONDS):
            shown = show(body["reference"])
            if shown is None:
                claim._existing().filter(body=row.body).delete()
            return shown
        with outside():
            time.sleep(0.1)
    return None


def _conflict(message: str) -> Response:
    raise ApiError(message, status=409, code="idempotency_conflict")
