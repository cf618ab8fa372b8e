"""A request to generate as a caller sends it: read, and checked to be one that can be held, forwarded and priced.

https://ai.google.dev/api/generate-content . The model stands in the path, and so does whether a stream is asked for.
"""

from proxy.prices.units import OUTPUT_AUDIO, OUTPUT_IMAGE
from proxy.prices.versions import terms_of
from proxy.protocols import headers
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.gemini import paths
from proxy.protocols.gemini.content import Content
from proxy.protocols.gemini.fields import BODY, body_of, place_of, refuse_fields
from proxy.protocols.gemini.generate.asked.call import GenerateCall
from proxy.protocols.gemini.generate.asked.tools import read_tools
from proxy.protocols.gemini.spelled import Spelled
from proxy.protocols.members import joined

CONFIG = frozenset({"maxOutputTokens", "candidateCount", "responseModalities", "thinkingConfig"})
MODALITIES = {"TEXT": "", "IMAGE": OUTPUT_IMAGE, "AUDIO": OUTPUT_AUDIO}
"""What an answer may be, with the unit of what is sold apart."""
ARRAYS = ("json", "")
"""How a stream is asked for as a JSON array, by `alt` of the address; as events with `sse`."""
MOST_CANDIDATES = 128
LONGEST_TIER = 40
TIER = "service_tier_"
USUAL_TIERS = frozenset({"standard", "unspecified"})
NOTHING = frozenset[str]()


def read(asked: Asked, *, is_stream: bool) -> GenerateCall:
    """Raise `BadRequest` unless it can be held, forwarded and priced."""
    model, alt = place_of(asked)
    if alt not in (*ARRAYS, "sse"):
        raise BadRequest("`alt` of the address may be json or sse here.", param="alt")
    body = body_of(asked.body, known=BODY)
    refuse_fields(body)
    content = Content()
    if not content.of_request(body):
        raise BadRequest("`contents` must be a list of at least one content.", param="contents")
    tools, has_tools, more = read_tools(body)
    config = body.inside("generationConfig", known=CONFIG)
    if config is not None:
        refuse_fields(config)
    made, names_output = _made(config)
    tier = _tier(body)
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
        headers=headers.chosen(asked.headers, paths.HEADERS),
        config=b"" if config is None else joined(config.without("maxOutputTokens"), without=NOTHING),
        tools=tools,
        continues=content.continues,
        is_array=is_stream and alt in ARRAYS,
    )


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
