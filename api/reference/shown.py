"""The description as a page shows it: groups of operations, each with what it takes, an example, and its errors."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from api.calling import schema as calling
from api.reference import told
from api.reference.completing import JSON

FORM = calling.FORM
SCIENTIFIC = re.compile(r"\b[0-9]+(\.[0-9]+)?e-[0-9]+\b")


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a member of a body: its type in words, and the value that a form begins with."""

    name: str
    kind: str
    is_required: bool
    words: str
    value: str = ""
    place: str = ""
    """`path`, `query` or `header`; "" in a body."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of an operation."""

    status: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    notes: str
    parameters: Sequence[Field]
    fields: Sequence[Field]
    """Of a JSON body, where its members are known."""
    parts: Sequence[Field]
    """Of a form."""
    body: str
    """The example of a JSON body; "" where none is taken."""
    curl: str
    status: str
    answer: str
    """The example, or what kind of file it is."""
    problems: Sequence[Problem]
    streams: bool
    """Whether `"stream": true` in its body makes it answer in events."""

    @property
    def anchor(self) -> str:
        return anchor(f"{self.method} {self.path}")

    @property
    def typed(self) -> Sequence[Field]:
        """What is asked for before it is tried."""
        return [*(one for one in self.parameters if one.place != "header"), *self.parts]


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that belong together."""

    title: str
    operations: Sequence[Operation]

    @property
    def anchor(self) -> str:
        return anchor(self.title)


def anchor(text: str) -> str:
    """A fragment of the page's address."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def grouped(document: Mapping[str, Any], *, site: str) -> list[Group]:
    """All operations in the order of their groups and examples; examples of commands name the address `site`."""
    names = list(told.operations())
    order = {path: number for number, path in enumerate(calling.examples())}
    found: dict[str, list[tuple[int, Operation]]] = {title: [] for title in told.groups().values()}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            place = names.index(name) if name in told.operations() else order[path]
            shown = _operation(document, method.upper(), path, operation, site=site)
            found[operation["tags"][0]].append((place, shown))
    return [
        Group(title, [shown for _place, shown in sorted(those, key=lambda pair: pair[0])])
        for title, those in found.items()
    ]


def _operation(
    document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], *, site: str
) -> Operation:
    content = operation.get("requestBody", {}).get("content", {})
    example, form = content.get(JSON, {}).get("example"), content.get(FORM)
    schema = _resolved(document, content.get(JSON, {}).get("schema", {}))
    parameters = [_parameter(one, is_free="models" in path) for one in operation.get("parameters", ())]
    parts = list(_members(document, form["schema"])) if form else []
    status, answer = _answer(operation["responses"])
    return Operation(
        method=method,
        path=path,
        summary=operation["summary"],
        notes=operation.get("description", ""),
        parameters=parameters,
        fields=list(_members(document, schema)),
        parts=parts,
        body="" if example is None else _text(example),
        curl=_curl(method, f"{site}{path}", parameters, body=example, parts=parts),
        status=status,
        answer=answer,
        problems=list(_problems(operation["responses"])),
        streams="`stream`" in operation["summary"] and example is not None,
    )


def _parameter(one: Mapping[str, Any], *, is_free: bool) -> Field:
    """An id that stands in an example may be somebody's own: only ids of models are filled in."""
    example = str(one.get("example", one.get("schema", {}).get("example", "")))
    value = example if one["in"] == "query" or is_free or one["name"] == "month" else ""
    return Field(
        one["name"],
        kind_of(one.get("schema", {})),
        bool(one.get("required")),
        one.get("description", ""),
        value=value if one["name"] != "id" else "",
        place=one["in"],
    )


def _members(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        yield Field(
            name,
            kind_of(_resolved(document, member), document),
            name in required,
            member.get("description", ""),
            value=str(member.get("default", "")),
        )


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def kind_of(schema: Mapping[str, Any], document: Mapping[str, Any] | None = None) -> str:
    """A schema's type in a few words, such as `string`, `email | post` or `array of string`."""
    if document is not None:
        schema = _resolved(document, schema)
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"] if value)
    for name in ("oneOf", "anyOf", "allOf"):
        if name in schema:
            kinds = [kind_of(one, document) for one in schema[name]]
            return " | ".join(dict.fromkeys(kind for kind in kinds if kind))
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = " | ".join(kind)
    if kind == "array":
        return f"array of {kind_of(schema.get('items', {}), document)}"
    if schema.get("format") in ("date", "date-time", "binary"):
        return {"date": "date", "date-time": "date and time", "binary": "file"}[schema["format"]]
    return str(kind)


def _answer(responses: Mapping[str, Any]) -> tuple[str, str]:
    status, answer = next((status, answer) for status, answer in responses.items() if status < "300")
    for kind, shown in answer.get("content", {}).items():
        return status, _text(shown["example"]) if kind == JSON else kind
    return status, ""


def _problems(responses: Mapping[str, Any]) -> Iterator[Problem]:
    for status, answer in responses.items():
        if status >= "400":
            shown = answer["content"][JSON]
            examples = shown.get("examples") or {answer["description"]: {"value": shown["example"]}}
            for code, example in examples.items():
                yield Problem(status, code, example["value"]["error"]["message"])


def _curl(method: str, address: str, parameters: Sequence[Field], *, body: Any, parts: Sequence[Field]) -> str:
    """The request as a command of a shell."""
    for one in parameters:
        if one.place == "path":
            address = address.replace(f"{{{one.name}}}", one.value or f"${one.name.upper()}")
    query = "&".join(f"{one.name}={one.value}" for one in parameters if one.place == "query" and one.value)
    lines = [f'curl "{address}{"?" if query else ""}{query}"', '-H "Authorization: Bearer $CHUIZI_KEY"']
    if method not in ("GET", "POST") or (method == "POST" and body is None and not parts):
        lines[0] = lines[0].replace("curl ", f"curl -X {method} ", 1)
    if body is not None:
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}"]
    for part in parts:
        said = f"{part.name}=@file" if part.kind == "file" else f"{part.name}={shlex.quote(part.value)}"
        lines.append(f"-F {said}")
    return " \\\n  ".join(lines)


def _text(value: Any) -> str:
    """As JSON for people: `0.00000168` rather than `1.68e-06`."""
    return SCIENTIFIC.sub(lambda found: f"{Decimal(found[0]):f}", json.dumps(value, ensure_ascii=False, indent=2))
