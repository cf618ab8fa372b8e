"""The fields of a request that we read, and those that no caller may set; the model stands in its path."""

from urllib.parse import parse_qs

from proxy.protocols.base import BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.gemini.spelled import Spelled
from proxy.protocols.members import check_bytes
from proxy.protocols.steering import folded, is_steering
from proxy.protocols.structure import NotJson

BODY = frozenset(
    {
        *("model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings"),
        *("cachedContent", "serviceTier"),
    }
)
OTHERS = frozenset({"n", "stream", "routingconfig"})
"""What else would have another model answer, or in another form."""
LONGEST_MODEL = 10_000
NOTHING = frozenset[str]()


def place_of(asked: Asked) -> tuple[str, str]:
    """The model, and `alt` of the address. Raise `BadRequest` for a key in the address."""
    query = parse_qs(asked.query.decode("latin-1"), keep_blank_values=True)
    if "key" in query:
        words = "A key in the address ends up in logs: send it as the header x-goog-api-key."
        raise BadRequest(words, param="key")
    model = asked.place["model"]
    if len(model) > LONGEST_MODEL:
        raise BadRequest("The path must name a model such as google/gemini-2.5-flash.", param="model")
    return model, query.get("alt", [""])[-1]


def body_of(raw: bytes, *, known: frozenset[str]) -> Spelled:
    try:
        check_bytes(raw)
    except NotJson as error:
        raise BadRequest(f"The body is not JSON that can be read: {error}.") from None
    return Spelled(raw, known=known, place="")


def refuse_fields(held: Spelled) -> None:
    """Raise `BadRequest` naming a field that would make an upstream do or charge something else."""
    for name in held.unknown:
        if is_steering(name, NOTHING) or folded(name) in OTHERS:
            path = f"{held.place}.{name[:100]}" if held.place else name[:100]
            raise BadRequest(f"`{path}` is not on offer here.", param=path)
