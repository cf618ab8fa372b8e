"""What a transcript used: by the second, as its upstream says or as its frames were counted, or by tokens."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from proxy.prices.units import INPUT_AUDIO, REQUEST, SECOND
from proxy.prices.usage import Usage, counted
from proxy.protocols.base import Reported, amount_of
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.audio.asked import TranscriptCall

FAIR_SOUND_TOKENS, FAIR_TEXT_TOKENS = 10, 4
"""Of a second: OpenAI's models hear 10, and who speaks usually says 2.5 words."""


def fair(call: TranscriptCall) -> Usage:
    """As counted from the request."""
    if call.counted == REQUEST:
        return Usage(units=Decimal(1))
    seconds = call.length.seconds
    if call.counted == SECOND:
        return Usage(more={SECOND: seconds})
    sound, text = (int(seconds * count) + 1 for count in (FAIR_SOUND_TOKENS, FAIR_TEXT_TOKENS))
    return counted(input_tokens=call.prompt_tokens + sound, output_tokens=text, brought={"audio": sound})


def reported(call: TranscriptCall, answer: Mapping[str, Any]) -> Reported:
    if call.counted == REQUEST:
        return Reported(fair(call), is_whole=True)
    return _seconds(call, answer) if call.counted == SECOND else _tokens(answer)


def _seconds(call: TranscriptCall, answer: Mapping[str, Any]) -> Reported:
    usage = answer.get("usage")
    said = usage.get("seconds") if isinstance(usage, dict) else None
    said = answer.get("duration") if said is None else said
    seconds = None if said is None else amount_of(said)
    if seconds:
        return Reported(Usage(more={SECOND: seconds}), is_whole=True)
    is_odd = said is not None and bool(call.length.seconds)
    if not call.length.is_counted:
        return Reported(None, is_odd=is_odd)
    return Reported(fair(call), is_odd=is_odd, is_whole=True)


def _tokens(answer: Mapping[str, Any]) -> Reported:
    told = usages.find(answer)
    if told is None or not told.usage.input_tokens:
        return Reported(None, is_odd=told is not None)
    used = told.usage
    if INPUT_AUDIO not in (used.more or {}):
        # What it heard is nearly all, and an upstream that does not tell them apart has one rate for both.
        used = replace(used, more={**(used.more or {}), INPUT_AUDIO: used.input_tokens})
    return Reported(used, is_odd=told.is_odd, is_whole=True, stated_cost=usages.stated_cost(told))
