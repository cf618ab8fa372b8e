"""What drf-spectacular does not know: names, examples, and the errors of each operation of the account API."""

from collections.abc import Iterator, Sequence
from typing import Any

from api.common.base import MOST_ROWS
from api.reference.told import Told, groups, operations
from core.web.errors import error_body

JSON = "application/json"
WITH_BODY = ("post", "put", "patch")
ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 255},
    "description": "The same key and body, sent again within 24 hours, get the first answer.",
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": "string", "description": "The first field at fault."},
                "errors": {
                    "type": "array",
                    "description": "All fields at fault.",
                    "items": {
                        "type": "object",
                        "required": ["param", "code", "message"],
                        "properties": {name: {"type": "string"} for name in ("param", "code", "message")},
                    },
                },
            },
        }
    },
}
HEADERS = {
    "X-Request-Id": {"description": "Names this request to support.", "schema": {"type": "string"}},
    "X-RateLimit-Limit": {"description": "Requests a minute.", "schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {"description": "What is left of them.", "schema": {"type": "integer"}},
    "X-RateLimit-Reset": {"description": "Seconds until all are back.", "schema": {"type": "integer"}},
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook of drf-spectacular's. Raises `LookupError` for an operation of which examples.yaml tells nothing."""
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Error"] = ERROR
    components["headers"] = {**HEADERS, **RETRY_AFTER}
    for name, schema in schemas.items():
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            told = operations().get(operation["operationId"])
            if told is None:
                raise LookupError(f"{method.upper()} {path}: api/reference/examples.yaml has no example")
            _complete(method, operation, told)
    result["tags"] = [{"name": title} for title in groups().values()]
    return result


def _complete(method: str, operation: dict[str, Any], told: Told) -> None:
    operation["tags"] = [groups()[told.group]]
    operation["summary"] = told.summary
    operation.pop("description", None)
    if told.notes:
        operation["description"] = told.notes
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        example = {**told.place, **told.query}.get(parameter["name"])
        if example is not None:
            parameter["example"] = example
        if parameter["name"] == "month":
            parameter["schema"] = {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"}
        if parameter["name"] == "limit":
            parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}
    if method == "post":
        parameters.append(ONCE)
    if told.request is not None:
        operation["requestBody"]["content"][JSON]["example"] = told.request
    for answer in operation["responses"].values():
        answer.setdefault("description", "")
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
        shown = answer.get("content", {}).get(JSON)
        if shown is not None:
            shown["example"] = told.answer
            if not shown["schema"].get("$ref") and "properties" not in shown["schema"]:
                shown["schema"] = schema_of(told.answer, nullable=told.nullable, loose=told.loose)
    for status, shown in _errors(method, operation, told):
        operation["responses"][status] = shown


def _errors(method: str, operation: dict[str, Any], told: Told) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each status with an example for each of its codes."""
    found: dict[int, dict[str, str]] = {}
    for status, code, message in (*told.refused, *_usual(method, operation)):
        if status != 404 or 404 not in found:  # what is not there has one code
            found.setdefault(status, {}).setdefault(code, message)
    for status, codes in sorted(found.items()):
        examples = {
            code: {
                "value": error_body(
                    message=message, status=status, code=code, param=_param(operation) if status == 400 else None
                )
            }
            for code, message in codes.items()
        }
        content = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}, "examples": examples}}
        names = [*HEADERS, *(RETRY_AFTER if status in (429, 503) else ())]
        headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        yield str(status), {"description": ", ".join(codes), "headers": headers, "content": content}


def _usual(method: str, operation: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """What follows from what an operation takes."""
    yield 401, "invalid_api_key", "The API key is missing, unknown, expired or disabled."
    yield 403, "key_not_allowed", "This key may not do this: it lacks the scope billing."
    yield 403, "ip_not_allowed", "This key may not be used from this address."
    if param := _param(operation):
        yield 400, "validation_error", f"{param}: This is not what the description says."
    elif method == "post":
        yield 400, "validation_error", "The body is not JSON."
    if any(parameter["in"] == "path" for parameter in operation["parameters"]):
        yield 404, "not_found", "There is nothing here."
    if method == "post":
        yield 409, "idempotency_conflict", "This Idempotency-Key was used with another body."
    if method in WITH_BODY:
        yield 413, "request_too_large", "The body is too long."
        yield 415, "unsupported_media_type", "The body is compressed (Content-Encoding: gzip). Send it as it is."
    yield 429, "rate_limit_exceeded", "This key may send 120 requests a minute."
    yield 500, "internal_error", "Something went wrong on our side."


def _param(operation: dict[str, Any]) -> str | None:
    """A field or parameter that may be at fault."""
    example = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("example")
    those = [one["name"] for one in operation["parameters"] if one["in"] == "query" or one["name"] == "month"]
    names = [*(example or ()), *those]
    return names[0] if names else None


def schema_of(value: Any, *, nullable: Sequence[str] = (), loose: Sequence[str] = ()) -> dict[str, Any]:
    """The shape of an example. Members named in `nullable` may be null, those in `loose` anything, as may what is null
    in the example; further members may come.
    """
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array", "items": schema_of(value[0], nullable=nullable, loose=loose) if value else {}}
        case dict():
            shape = {
                name: {} if name in loose else schema_of(inner, nullable=nullable, loose=loose)
                for name, inner in value.items()
            }
            for name in set(nullable) & {one for one in shape if "type" in shape[one]}:
                shape[name]["type"] = [shape[name]["type"], "null"]
            return {"type": "object", "properties": shape, "additionalProperties": {}}
    return {}
