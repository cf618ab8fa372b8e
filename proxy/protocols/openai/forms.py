"""An uploaded form as the members of an object, so that its fields are read as those of a JSON body are.

No field that we read stands twice or in other letters, and none has brackets but lists that are known to have them.
"""

import re
from collections.abc import Set as AbstractSet
from dataclasses import field

import msgspec
import orjson

from core.records import value
from proxy.prices.catalog import Destination
from proxy.protocols.base import BadRequest
from proxy.protocols.endpoint import Sending
from proxy.protocols.openai.asking import PlainCall
from proxy.protocols.reading import Fields
from proxy.protocols.steering import folded, refuse_steering
from proxy.uploads import form as forms
from proxy.uploads.form import Form, Part
from proxy.uploads.spool import Stored

LITERAL = re.compile(r"true|false|-?(?:0|[1-9][0-9]{0,8})", re.ASCII)


@value
class FormCall(PlainCall):
    """`rest` are the texts of its form, which errors of an upstream may repeat."""

    form: Form = field(default_factory=Form)
    """Without parts where it came as JSON."""


class FormFields(Fields):
    """The texts of a form. `literals` are names of numbers and flags, `files` those of files, the lists with `[]`."""

    def __init__(
        self,
        form: Form,
        *,
        known: AbstractSet[str],
        files: AbstractSet[str],
        literals: AbstractSet[str],
        nested: AbstractSet[str] = frozenset(),
    ) -> None:
        self.place = ""
        self.members = {}
        plain = {folded(name) for name in known}
        seen = set[str]()
        for part in form.parts:
            name, base = part.name, part.name.partition("[")[0]
            if base not in known and folded(base) in plain:
                raise BadRequest(f"`{name}` stands in other letters: servers would not agree on it.", param=name)
            if name != base and ((base in known and name not in known) or _is_odd(name, base, nested)):
                raise BadRequest(f"`{name}` is not a field that is known here.", param=name)
            if name in seen and not name.endswith("[]"):
                raise BadRequest(f"`{name}` stands twice: servers would not agree which one counts.", param=name)
            seen.add(name)
            if (name in files) != (part.filename is not None):
                words = "must be a file" if name in files else "must be no file"
                raise BadRequest(f"`{name}` {words}.", param=name)
            if name in known and name not in files:
                self.members[name] = _raw(part, is_literal=name in literals)
        refuse_steering({part.name.partition("[")[0] for part in form.parts}, known)


def file_of(form: Form, name: str) -> Stored:
    """A file that has to be there; raises `BadRequest`."""
    found = form.named(name)
    stored = found[0].data if found else None
    if not isinstance(stored, Stored) or not len(stored):
        raise BadRequest(f"`{name}` must be a file that is not empty.", param=name)
    return stored


def texts_of(form: Form) -> bytes:
    """All that is text and in memory, but the model."""
    return b"\n".join(part.data for part in form.parts if isinstance(part.data, bytes) and part.name != "model")


def form_sending(path: str, form: Form, destination: Destination) -> Sending:
    """The caller's parts in their order, behind the upstream's name for the model."""
    model = Part("model", destination.upstream_model.encode())
    body = forms.write([model, *(part for part in form.parts if part.name != "model")])
    headers = {"Authorization": f"Bearer {destination.api_key}", "Content-Type": body.content_type}
    return Sending(path, headers, body)


def _is_odd(name: str, base: str, nested: AbstractSet[str]) -> bool:
    """Whether it has brackets, and none of a list or of a member that is known."""
    return not (name == f"{base}[]" or base in nested)


def _raw(part: Part, *, is_literal: bool) -> msgspec.Raw:
    text = part.text
    if text is None:
        raise BadRequest(f"`{part.name}` is too long.", param=part.name)
    return msgspec.Raw(text.encode() if is_literal and LITERAL.fullmatch(text) else orjson.dumps(text))
