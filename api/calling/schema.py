"""The gateway's paths in the schema: each route with its example, and errors as its protocol has them."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import yaml

from api.reference.told import groups
from proxy.errors import Refusal
from proxy.gateway.routes import ROUTES, Routes
from proxy.protocols.endpoint import Endpoint

JSON, FORM = "application/json", "multipart/form-data"
REQUEST_ID = "req-0123456789abcdef01234567"
REFUSALS = (
    Refusal(400, "validation_error", "`max_tokens` must be a whole number from 1 to 10000000.", param="max_tokens"),
    Refusal(401, "invalid_api_key", "There is no such API key."),
    Refusal(402, "insufficient_balance", "The balance is $0.10000000, and this request needs up to $0.25000000."),
    Refusal(403, "model_not_allowed", "This key may not use openai/gpt-4.1.", param="model"),
    Refusal(404, "model_not_found", "There is no model 'openai/gpt-9' here.", param="model"),
    Refusal(409, "idempotency_conflict", "This Idempotency-Key was used with another request."),
    Refusal(413, "request_too_large", "The body may have at most 33554432 bytes."),
    Refusal(429, "rate_limit_exceeded", "This key may send 60 requests a minute."),
    Refusal(500, "internal_error", "Something went wrong on our side."),
    Refusal(502, "provider_error", "The model's provider failed (500)."),
    Refusal(503, "provider_unavailable", "No upstream serves this model at the moment."),
    Refusal(504, "provider_timeout", "The model's provider did not answer in time."),
)
HELD = frozenset({402, 409})
"""What only a path that costs something answers."""


@cache
def examples() -> Mapping[str, Mapping[str, Any]]:
    """By path, as it is shown."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("examples.yaml").read_text("utf-8"))
    return found


def paths(routes: Routes = ROUTES) -> dict[str, Any]:
    """As OpenAPI has them. Raises `LookupError` for a route without an example."""
    return {path: dict(_operations(path, endpoints)) for path, endpoints in routes.shown()}


def _operations(path: str, endpoints: Mapping[str, Endpoint[Any]]) -> Iterator[tuple[str, Any]]:
    given = examples().get(path)
    if given is None:
        raise LookupError(f"{path} has no example in api/calling/examples.yaml")
    for method, endpoint in endpoints.items():
        example = {**given, **given.get(method, {})}
        name = path.strip("/").replace("/", "_").replace(":", "_").replace("{", "").replace("}", "")
        operation: dict[str, Any] = {
            "operationId": f"{name}_{method.lower()}",
            "summary": example["summary"],
            "tags": [groups()["models"]],
            "security": [{"key": []}],
            "parameters": [*_of_path(example), *(one for one in HEADERS if endpoint.holds or one["name"] != ONCE)],
            "responses": {"200": _answer(example), **{str(one.status): _error(endpoint, one) for one in _of(endpoint)}},
        }
        if "request" in example:
            operation["requestBody"] = {"required": True, "content": {JSON: _shown(example["request"])}}
        if "form" in example:
            operation["requestBody"] = {
                "required": True,
                "content": {FORM: _form(example["form"], file=example.get("file", "file"))},
            }
        yield method.lower(), operation


ONCE = "Idempotency-Key"
HEADERS = [
    {
        "name": "X-Session-Id",
        "in": "header",
        "schema": {"type": "string"},
        "description": "What usage is grouped by.",
    },
    {
        "name": ONCE,
        "in": "header",
        "schema": {"type": "string", "maxLength": 255},
        "description": "The request is done and charged once for it in 24 hours; a repeat gets the same answer.",
    },
    {
        "name": "X-Chuizi-Body",
        "in": "header",
        "schema": {"type": "string", "enum": ["plain"]},
        "description": "With `plain` the answer has nothing of ours in it.",
    },
]


def _of_path(example: Mapping[str, Any]) -> list[dict[str, Any]]:
    schema = {"type": "string"}
    return [
        {"name": name, "in": where, "required": where == "path", "schema": schema, "example": said}
        for where, those in (("path", example.get("place", {})), ("query", example.get("query", {})))
        for name, said in those.items()
    ]


def _of(endpoint: Endpoint[Any]) -> list[Refusal]:
    return [one for one in REFUSALS if endpoint.holds or one.status not in HELD]


def _answer(example: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"X-Generation-Id": {"schema": {"type": "string"}, "description": "For `GET /v1/generation?id=`."}}
    if "answer" not in example:
        content = {example["content_type"]: {"schema": {"type": "string", "format": "binary"}}}
    else:
        content = {JSON: _shown(example["answer"])}
    return {"description": "The answer", "headers": headers, "content": content}


def _error(endpoint: Endpoint[Any], refusal: Refusal) -> dict[str, Any]:
    return {"description": refusal.code, "content": {JSON: _shown(orjson.loads(endpoint.error(refusal, REQUEST_ID)))}}


def _shown(value: Any) -> dict[str, Any]:
    return {"schema": {"type": "array" if isinstance(value, list) else "object"} | _items(value), "example": value}


def _form(fields: Mapping[str, str], *, file: str) -> dict[str, Any]:
    """A form whose file is in the field of that name."""
    shown = {name: {"type": "string", "default": said} for name, said in fields.items() if name != "file"}
    properties = {**shown, file: {"type": "string", "format": "binary"}}
    return {"schema": {"type": "object", "properties": properties, "required": [file, "model"]}}


def _items(value: Any) -> dict[str, Any]:
    return {"items": {"type": "object"}} if isinstance(value, list) else {"additionalProperties": True}
