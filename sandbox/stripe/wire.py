"""Stripe's wire format: nested forms in, JSON and its error shapes out."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from sandbox import crypto
from sandbox.world import as_json

API_VERSION = "2026-10-28.endive"
NAME = re.compile(r"[^\[\]]+")


class StripeError(Exception):
    """`code` and `param` as in Stripe's error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "",
        param: str = "",
        kind: str = "invalid_request_error",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        fields = {"code": code, "message": message, "param": param, "type": kind, **(more or {})}
        self.body = {"error": {name: value for name, value in fields.items() if value}}


def missing(kind: str, number: str, *, param: str = "id") -> StripeError:
    return StripeError(f"No such {kind}: '{number}'", status=404, code="resource_missing", param=param)


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`a[b][0][c]=x` as {"a": {"b": [{"c": "x"}]}}; raise `StripeError` if names contradict each other."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        path = NAME.findall(name)
        if name.endswith("[]"):
            path.append("")
        here = tree
        for part in path[:-1]:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise StripeError("Invalid parameters.", param=name)
        last = path[-1] if path else name
        here[last or str(len(here))] = value
    listed = {name: _lists(value) for name, value in tree.items()}
    return listed


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inside = {name: _lists(part) for name, part in value.items()}
    if inside and all(name.isascii() and name.isdigit() for name in inside):
        return [inside[name] for name in sorted(inside, key=int)]
    return inside


def whole(value: Any, *, param: str) -> int:
    """Raise `StripeError` unless it is an integer."""
    if not re.fullmatch(r"-?\d{1,15}", str(value)):
        raise StripeError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=param)
    return int(str(value))


def check_key(header: str, secret_key: str) -> None:
    """Bearer, or Basic with the key as user; raise `StripeError`."""
    scheme, _, rest = header.partition(" ")
    key = rest.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise StripeError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if key != secret_key:
        raise StripeError(f"Invalid API Key provided: {key[:8]}{'*' * 12}{key[-4:]}", status=401)


def answer(content: Any, *, status: int = 200, **headers: str) -> web.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items() if value}
    return web.Response(
        text=as_json(content, indent=2),
        status=status,
        content_type="application/json",
        headers={"Request-Id": f"req_{crypto.letters(14)}", **names},
    )
