"""A request to generate as a caller sends it: read, and checked to be one that can be held, forwarded and priced.

https://ai.google.dev/api/generate-content . The model stands in the path, and so does whether a stream is asked for.
"""

from urllib.parse import parse_qs

from proxy.prices.units import OUTPUT_AUDIO, OUTPUT_IMAGE
from proxy.prices.versions import terms_of
from proxy.protocols import headers
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.gemini.content import Content
from proxy.protocols.gemini.generate.asked.call import GenerateCall
from proxy.protocols.gemini.generate.asked.tools import read_tools
from proxy.protocols.gemini.spelled import Spelled
from proxy.protocols.members import check_bytes, joined
from proxy.protocols.steering import folded, is_steering
from proxy.protocols.structure import NotJson

HEADERS = frozenset({b"x-goog-api-client"})
BODY = frozenset(
    {
        *("model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings"),
        *("cachedContent", "serviceTier"),
    }
)
CONFIG = frozenset({"maxOutputTokens", "candidateCount", "responseModalities", "thinkingConfig"})
MODALITIES = {"TEXT": "", "IMAGE": OUTPUT_IMAGE, "AUDIO": OUTPUT_AUDIO}
"""What an answer may be, with the unit of what is sold apart."""
ARRAYS = ("json", "")
"""How a stream is asked for as a JSON array, by `alt` of the address; as events with `sse`."""
MOST_CANDIDATES = 128
LONGEST_MODEL = 10_000
LONGEST_TIER = 40
TIER = "service_tier_"
USUAL_TIERS = frozenset({"standard", "unspecified"})
OTHERS = frozenset({"n", "stream", "routingconfig"})
"""What else would have another model answer, or in another form."""
NOTHING = frozenset[str]()


def read(asked: Asked, *, is_stream: bool) -> GenerateCall:
    """Raise `BadRequest` unless it can be held, forwarded and priced."""
    model, alt = place_of(asked)
    if alt not in (*ARRAYS, "sse"):
        raise BadRequest("`alt` of the address may be json or sse here.", param="alt")
    body = body_of(asked.body, known=BODY)
    refuse_fields(body)
    if body.get("cachedContent") is not None:
        name = body.spelt["cachedContent"]
        raise BadRequest(f"`{name}` is not on offer here.", param=name)
    content = Content()
    if body.get("contents") is None or content.all_of(body, "contents") == 0:
        raise BadRequest("`contents` must be a list of at least one content.", param="contents")
    if (system := body.get("systemInstruction")) is not None:
        content.whole(system, place=body.spelt["systemInstruction"])
    tools, has_tools, more = read_tools(body)
    config = body.inside("generationConfig", known=CONFIG)
    if config is not None:
        refuse_fields(config)
    made, names_output = _made(config)
    tier = _tier(body)
    if is_stream and alt in ARRAYS:
        raise BadRequest("A stream is served as events here: add `?alt=sse` to the address.", param="alt")
    return GenerateCall(
        model=model,
        stream=is_stream,
        output_limit=None if config is None else config.whole("maxOutputTokens", least=1, most=MOST_OUTPUT_TOKENS),
        choices=(None if config is None else config.whole("candidateCount", least=1, most=MOST_CANDIDATES)) or 1,
        material=content.material(asked.body, tools=has_tools, more=more),
        rest=joined(body.without("model", "generationConfig", *(("tools",) if tools else ())), without=NOTHING),
        units=tuple(sorted(content.units | made)),
        names_output=names_output,
        service_tier=tier,
        asked=terms_of(tier) or None,
        headers=headers.chosen(asked.headers, HEADERS),
        config=b"" if config is None else joined(config.without("maxOutputTokens"), without=NOTHING),
        tools=tools,
        continues=content.continues,
        is_array=is_stream and alt in ARRAYS,
    )


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


def _made(config: Spelled | None) -> tuple[set[str], bool]:
    """What the answer is to be beside text, and whether the request says so."""
    said = None if config is None else config.value("responseModalities")
    if config is None or said is None or said == []:
        return set(), False
    kinds = [name.upper() if isinstance(name, str) else "" for name in said] if isinstance(said, list) else [""]
    if not MODALITIES.keys() >= set(kinds):
        place = f"generationConfig.{config.spelt['responseModalities']}"
        raise BadRequest(f"`{place}` may be a list of {', '.join(MODALITIES)} here.", param=place)
    return {unit for kind in kinds if (unit := MODALITIES[kind])}, True


def _tier(body: Spelled) -> str | None:
    """The service tier asked for, as prices name it; whether it is on offer the model's price tells."""
    said = body.value("serviceTier")
    if said is None:
        return None
    name = said.lower().removeprefix(TIER) if isinstance(said, str) and len(said) <= LONGEST_TIER else ""
    if not name.isidentifier() or not name.isascii():
        place = body.spelt["serviceTier"]
        raise BadRequest(f"`{place}` may be standard or flex here.", param=place)
    return None if name in USUAL_TIERS else name
