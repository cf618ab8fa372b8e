"""What a model answers that was given a schema: the least that fits, with a word for each text."""

from typing import Any

WORD = "yes"
ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}}
"""The schema where some JSON is asked for, and none described."""


def fitting(schema: Any, *, root: dict[str, Any] | None = None) -> Any:
    """A value for JSON Schema, or for Gemini's kin of it with types in capitals."""
    if not isinstance(schema, dict):
        return WORD
    whole = schema if root is None else root
    if isinstance(ref := schema.get("$ref"), str):
        return fitting(_found(whole, ref), root=whole)
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(among := schema.get(name), list) and among:
            return fitting(among[0], root=whole)
    if "const" in schema:
        return schema["const"]
    if isinstance(among := schema.get("enum"), list) and among:
        return among[0]
    told = schema.get("type", "object" if "properties" in schema else "string")
    kind = str(told[0] if isinstance(told, list) else told).lower()
    if kind == "object":
        return {name: fitting(one, root=whole) for name, one in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [fitting(schema.get("items"), root=whole)] * max(1, int(schema.get("minItems", 1)))
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(kind, WORD)


def arguments(schema: Any) -> dict[str, Any]:
    """The least for a tool that has to be called: what its schema requires."""
    if not isinstance(schema, dict):
        return {}
    fields = schema.get("properties") or {}
    return {name: fitting(fields.get(name), root=schema) for name in schema.get("required") or ()}


def _found(whole: dict[str, Any], ref: str) -> Any:
    here: Any = whole
    for part in ref.removeprefix("#").strip("/").split("/"):
        here = here.get(part) if isinstance(here, dict) and part else here
    return here
