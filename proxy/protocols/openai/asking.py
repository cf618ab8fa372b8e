"""What the bodies of OpenAI's paths have in common: a JSON object that names a model, read by its members."""

import msgspec
import orjson

from core.records import value
from proxy.prices.catalog import Destination
from proxy.protocols import headers
from proxy.protocols.base import BadRequest, Call
from proxy.protocols.endpoint import Sending
from proxy.protocols.members import Members, check_bytes, first, joined, size
from proxy.protocols.reading import Fields
from proxy.protocols.structure import NotJson

LONGEST_MODEL = 10_000
LONGEST_WORD = 100
SESSION_HEADERS = (b"session-id", b"thread-id", *headers.SESSION_HEADERS)
_prompts = msgspec.json.Decoder(str | list[str | int | list[int]])


@value
class PlainCall(Call):
    """A request that asks for no text of a model: vectors, an order, sound, pictures."""

    counted: str = ""
    """The unit in which its model's price counts it; "" until the model is known."""


def fields_of(raw: bytes, known: frozenset[str]) -> Fields:
    """The members of a body, none of `known` twice or in other letters; raises `BadRequest`."""
    try:
        check_bytes(raw)
    except NotJson as error:
        raise BadRequest(f"The body is not JSON that can be read: {error}.") from None
    return Fields(raw, known=known, place="")


def model_of(body: Fields) -> str:
    model = body.value("model", most=6 * LONGEST_MODEL)
    if not isinstance(model, str) or not model or len(model) > LONGEST_MODEL:
        raise BadRequest("`model` must be a model id such as openai/gpt-4.1-nano.", param="model")
    return model


def flag_of(body: Fields, name: str) -> bool:
    value = body.value(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"`{name}` must be true or false.", param=name)
    return bool(value)


def refuse_stream(body: Fields) -> None:
    """For a path that answers in one piece."""
    if flag_of(body, "stream"):
        raise BadRequest("`stream` may not be true here: the answer comes in one piece.", param="stream")


def word_of(body: Fields, name: str) -> str | None:
    """A short text; None where it is absent."""
    value = body.value(name)
    if value is not None and not (isinstance(value, str) and len(value) <= LONGEST_WORD and value.isprintable()):
        raise BadRequest(f"`{name}` must be a short text.", param=name)
    return value


def text_of(body: Fields, name: str) -> str | None:
    """A text of any length; None where it is absent. Raises `BadRequest` for anything else."""
    raw = body.get(name)
    if raw is None:
        return None
    if first(raw) == b'"':
        try:
            return str(orjson.loads(bytes(raw)))
        except orjson.JSONDecodeError:
            pass
    raise BadRequest(f"`{name}` must be a text.", param=name)


def prompts_of(body: Fields, name: str, *, most: int) -> tuple[int, int]:
    """How many token ids, if it is told in ids, and how many texts. Raises `BadRequest` for a mixture, and for none."""
    told = body.get(name)
    try:
        said = _prompts.decode(told) if told is not None else []
    except (msgspec.MsgspecError, RecursionError):
        raise BadRequest(f"`{name}` must be a text, token ids, or a list of them.", param=name) from None
    if isinstance(said, str):
        return 0, 1
    kinds = {type(item) for item in said}
    if kinds == {int}:
        return len(said), 1
    if len(kinds) > 1:
        raise BadRequest(f"`{name}` must hold texts alone, or token ids alone.", param=name)
    if not 1 <= len(said) <= most:
        raise BadRequest(f"`{name}` must hold from 1 to {most} texts.", param=name)
    return sum(len(item) for item in said if isinstance(item, list)), len(said)


def bytes_beside(raw: bytes, members: Members, *names: str) -> int:
    """Bytes of a body without these members."""
    return len(raw) - sum(size(members[name]) for name in names if name in members)


def sending(path: str, call: Call, destination: Destination, **ours: bytes) -> Sending:
    """The caller's members as they came, behind the upstream's name for the model and what else is `ours`, raw."""
    ours = {"model": orjson.dumps(destination.upstream_model), **ours}
    members = b",".join(b'"%b":%b' % (name.encode(), raw) for name, raw in ours.items())
    body = (b"{" + members + b",", call.rest, b"}") if call.rest else (b"{" + members + b"}",)
    return Sending(path, {"Authorization": f"Bearer {destination.api_key}"}, body)


def rest_of(body: Fields, *ours: str) -> bytes:
    """What goes on as it came: all but the model and what else is ours."""
    return joined(body.members, without={"model", *ours})
