"""`POST /v1/completions`, as it was before chat: one prompt or several, continued.

https://platform.openai.com/docs/api-reference/completions . Answers and streams are chat's, but that a choice has a
`text` in the place of a message.
"""

from collections.abc import Mapping
from typing import Any

from core.records import value
from proxy.models import Protocol
from proxy.prices.bounds import Material, likely_by_unit, most_by_unit, wide_bytes
from proxy.prices.catalog import Destination, Entry
from proxy.prices.versions import terms_of
from proxy.protocols import lossless
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest, Habits, Manner
from proxy.protocols.endpoint import Asked, Bounds, Sending
from proxy.protocols.members import joined
from proxy.protocols.openai.asking import bytes_beside, fields_of, flag_of, model_of, prompts_of
from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.chat.asked.careful import MOST_CHOICES, stream_options_of, tier_of
from proxy.protocols.openai.chat.assembling import Assembly
from proxy.protocols.openai.chat.endpoint import ChatCompletions, OpenAI
from proxy.protocols.openai.chat.stream import ChatStream
from proxy.protocols.sse import DONE, END
from proxy.protocols.steering import refuse_steering

USUAL_TOKENS = 16
"""Where a request names no limit; servers of this path agree on that."""
MOST_PROMPTS = 2_048
LIMIT = "max_tokens"
OURS = frozenset({"model", "stream_options", "service_tier", LIMIT})
READ = frozenset({*OURS, "prompt", "stream", "n", "best_of", "messages", "suffix", "echo", "logprobs", "tools"})


@value
class CompletionCall(ChatCall):
    """Its `choices` are all that are written: of each prompt as many as `n` or `best_of`, whichever is more."""

    prompts: int = 1
    is_scored: bool = False
    """No token is asked for: the prompt is repeated with its probabilities."""


def read(raw: bytes) -> CompletionCall:
    """Raise `BadRequest` unless the body can be held, forwarded and priced."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    for name in ("messages", "tools"):
        if body.get(name) is not None:
            raise BadRequest(f"`{name}` is for chat, not for completions.", param=name)
    ids, prompts = prompts_of(body, "prompt", most=MOST_PROMPTS)
    written = max(body.whole(name, least=1, most=MOST_CHOICES) or 1 for name in ("n", "best_of"))
    limit = body.whole(LIMIT, least=0, most=MOST_OUTPUT_TOKENS)
    tier = tier_of(body)
    options, include_usage = stream_options_of(body)
    size = bytes_beside(raw, body.members, "prompt") + ids if ids else len(raw)
    return CompletionCall(
        model=model_of(body),
        stream=flag_of(body, "stream"),
        output_limit=max(1, USUAL_TOKENS if limit is None else limit),
        choices=written * prompts,
        material=Material(text_bytes=size, wide=0 if ids else wide_bytes(raw)),
        rest=joined(body.members, without=OURS),
        limit_fields=(LIMIT,),
        service_tier=tier,
        asked=terms_of(tier) or None,
        stream_options=options,
        include_usage=include_usage,
        prompts=prompts,
        is_scored=limit == 0,
    )


class TextStream(ChatStream):
    object = "text_completion"
    nothing: Mapping[str, Any] = {"text": "", "logprobs": None}


class TextAssembly(Assembly):
    def whole(self) -> dict[str, Any]:
        answer = super().whole()
        choices = [{name: held for name, held in one.items() if name != "message"} for one in answer.get("choices", ())]
        return {**answer, "object": TextStream.object, "choices": choices} if choices else answer


class Completing(OpenAI):
    """Upstreams that speak it themselves."""

    path = "/completions"
    asks = "completions"

    def request(self, call: ChatCall, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        without = habits if call.service_tier else habits.without("service_tier")
        if isinstance(call, CompletionCall) and call.is_scored:
            output_limit = 0
        return super().request(call, destination, output_limit=output_limit, habits=without)

    def assembly(self) -> TextAssembly:
        return TextAssembly()

    def events(self, call: ChatCall, manner: Manner) -> TextStream:
        return TextStream(manner, include_usage=call.include_usage)

    def as_events(self, answer: bytes) -> bytes:
        return b"data: " + lossless.dump(lossless.load_exact(answer)) + END + DONE


class Completions(ChatCompletions):
    path = "/v1/completions"
    what = "model that writes"
    brings = "prompt"
    dialects = {Protocol.OPENAI.value: Completing()}

    def read(self, asked: Asked) -> ChatCall:
        return read(asked.body)

    def bounds(self, call: ChatCall, entry: Entry) -> Bounds:
        """A model's context is for each of its prompts."""
        prompts = call.prompts if isinstance(call, CompletionCall) else 1
        context = entry.context_window if prompts == 1 else None
        return Bounds(most_by_unit(call.material, context=context), likely_by_unit(call.material, context=context))
