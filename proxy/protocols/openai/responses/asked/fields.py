"""The fields of a request to Responses: those that we read or set, and those that no caller may set.

https://platform.openai.com/docs/api-reference/responses/create
"""

from proxy.protocols.base import BadRequest
from proxy.protocols.openai.chat.asked.careful import refuse_steering_metadata
from proxy.protocols.reading import Fields
from proxy.protocols.steering import folded, is_steering

LIMIT, CALLS = "max_output_tokens", "max_tool_calls"
OURS = frozenset({"model", "service_tier", LIMIT})
"""Written anew by us; the rest of the body goes upstream as it came."""
TOOLED = frozenset({"tools", "tool_choice", CALLS})
"""Written anew where a tool runs at the provider."""
GIVEN = frozenset({"input"})
"""The same, where such a tool stands in it."""
READ = frozenset(
    {
        *OURS,
        *TOOLED,
        *GIVEN,
        *("stream", "store", "previous_response_id", "background", "background_options", "context_management"),
        *("prompt_cache_options", "reasoning", "metadata"),
    }
)
OTHERS = frozenset(
    {
        *("prompt", "messages", "functions", "n", "modalities", "audio", "prediction"),
        *("web_search_options", "search_parameters"),
    }
)
"""What an account keeps, and what other paths and servers know by these names."""
REFUSED = frozenset(map(folded, OTHERS))
USUAL = {"reasoning": ("mode", "standard")}
"""Inside of these fields a member whose other values are sold at other rates."""
COMPARED = "comparison_response_id"
"""Of `prompt_cache_options`: an answer that an account keeps."""


def refuse_fields(body: Fields) -> None:
    """Raise `BadRequest` naming a field that would make an upstream do or charge something else."""
    for name in body.members:
        if name not in READ and (folded(name) in REFUSED or is_steering(name, READ)):
            raise BadRequest(f"`{name[:100]}` is not on offer here.", param=name[:100])
    refuse_steering_metadata(body)
    for name, (inner, usual) in USUAL.items():
        held = body.inside(name, known=frozenset({inner}))
        if held is not None and held.value(inner) not in (None, usual):
            raise BadRequest(f"`{name}.{inner}` may be {usual} here.", param=f"{name}.{inner}")
    cache = body.inside("prompt_cache_options", known=frozenset({COMPARED}))
    if cache is not None and cache.get(COMPARED) is not None:
        place = f"prompt_cache_options.{COMPARED}"
        raise BadRequest(f"`{place}` is not on offer here.", param=place)
