"""What an upstream says is wrong: its sentence, code and field in whatever shape, and what it means for the caller."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from proxy.errors import Refusal
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.relay.choosing.sealed import judged
from proxy.relay.cleaning import Secrets, cleaned

FAILED = "The model's provider failed."
REFUSED = "The model's provider refused the request."
OPERATORS_PROBLEM = frozenset({401, 402, 403, 404, 405, 406, 407, 411, 412, 415, 417, 421, 426, 428, 431, 499})
"""About the route, its key, or how the gateway itself speaks HTTP: nothing that a caller could mend."""
OPERATORS_REASON = re.compile(
    rb'"reason"\s*:\s*"(?:API_KEY|ACCESS_TOKEN|BILLING|SERVICE_DISABLED|CONSUMER)[A-Z_]*"'
    rb'|"Your credit balance is too low'
)
"""The same, told with 400: by Google, and by Anthropic of an account that has run dry."""
BUSY = frozenset({408, 425, 429})
LIMITED = frozenset({"rate_limit_error", "rate_limit_exceeded"})
BUSY_CODES = LIMITED | {"overloaded_error"}
"""The same, where it comes with success, as in a stream that has begun."""
DEFAULT_WAIT, LONGEST_WAIT = 5, 3600
"""Seconds of Retry-After: where none is told, and at most."""
MOST_ITEMS = 8
CODES = frozenset(
    {
        "context_length_exceeded",
        "content_filter",
        "content_policy_violation",
        "invalid_function_parameters",
        "invalid_value",
        "invalid_type",
        "invalid_image",
        "invalid_image_url",
        "invalid_image_format",
        "image_parse_error",
        "image_too_large",
        "missing_required_parameter",
        "unknown_parameter",
        "unsupported_parameter",
        "unsupported_value",
        "unsupported_file",
        "string_above_max_length",
        "string_below_min_length",
        "array_above_max_length",
        "array_below_min_length",
        "integer_above_max_value",
        "integer_below_min_value",
        "decimal_above_max_value",
        "decimal_below_min_value",
        "max_tokens_exceeded",
        "invalid_prompt",
        "invalid_json_schema",
        "invalid_encrypted_content",
    }
)
"""Codes that clients act upon; they name nothing of the operator."""
TOO_LONG = re.compile(
    r"maximum (?:context|prompt|input) length|context (?:length|window|size)[^.]{0,80}exceed"
    r"|(?:exceed|(?:longer|greater|larger|more) than)[^.]{0,80}context (?:length|window|size)"
    r"|(?:prompt|input) is too long|(?:prompt|input) (?:token count|length)[^.]{0,80}exceed|reduce the length"
    r"|prompt exceeds max length|exceed(?:s|ed) model token limit|range of input length"
    r"|too many (?:input )?tokens(?!.{0,80}(?:wait|minute|again))",
    re.IGNORECASE,
)
FILTERED = re.compile(
    r"content (?:management policy|filter)|ResponsibleAIPolicyViolation|data_?inspection_?failed|contentFilter"
    r"|new_sensitive|inappropriate content",
    re.IGNORECASE,
)
SENTENCES = (
    "message", "msg", "error_message", "errorMessage", "error_msg", "status_msg", "error_description", "title",
    "Message", "faultstring",
)  # fmt: skip
HOLDERS = (
    "error", "base_resp", "errors", "innererror", "metadata", "fault", "raw", "message", "detail",
    "Error", "Errors", "Response",
)  # fmt: skip
"""Members that may hold the error itself, as an object or as the text of one."""


class Said(NamedTuple):
    """What an error says of itself, as the upstream wrote it."""

    sentence: str = ""
    codes: tuple[str, ...] = ()
    param: str = ""


def secrets_of(destination: Destination) -> Secrets:
    return Secrets(destination.api_key, destination.base_url, destination.account)


def of_success(error: object, *, destination: Destination, own: bytes) -> Refusal:
    """What an error in an answer that came with success means: the caller's fault where it says so, by a known code.

    `own` is the body that was sent.
    """
    said = read(error)
    sentence = cleaned(said.sentence, secrets=secrets_of(destination), own=own)
    if code := _code_of(said, sentence):
        return judged(Refusal(400, code, sentence or REFUSED, param=_param(said, destination, own)))
    if not BUSY_CODES.isdisjoint(said.codes):
        return busy(529 if LIMITED.isdisjoint(said.codes) else 429, "", now=datetime.now(UTC))
    return judged(Refusal(502, "provider_error", sentence or FAILED))


def of_failure(body: bytes, *, destination: Destination, own: bytes) -> Refusal | None:
    """The caller's fault that a 5xx tells of, by a known code or as a context that is too long; None where it does not.

    That a filter is named is not enough: it may be what failed.
    """
    said = read_body(body)
    sentence = cleaned(said.sentence, secrets=secrets_of(destination), own=own)
    if code := _code_of(said, sentence if TOO_LONG.search(sentence) else ""):
        return Refusal(400, code, sentence or REFUSED, param=_param(said, destination, own))
    return None


def callers_fault(status: int, body: bytes, *, destination: Destination, own: bytes) -> Refusal:
    """An upstream's 4xx about the request, in our shape, with the code where clients know it."""
    said = read_body(body)
    sentence = cleaned(said.sentence, secrets=secrets_of(destination), own=own)
    code = _code_of(said, sentence) or ("request_too_large" if status == 413 else "validation_error")
    return judged(Refusal(status, code, sentence or REFUSED, param=_param(said, destination, own)))


def _code_of(said: Said, sentence: str) -> str:
    """A code of the caller's fault that clients know; empty where it is none."""
    if code := next((code for code in said.codes if code in CODES), ""):
        return code
    if TOO_LONG.search(sentence):
        return "context_length_exceeded"
    if FILTERED.search(sentence) or any(FILTERED.search(code) for code in said.codes):
        return "content_filter"
    return ""


def _param(said: Said, destination: Destination, own: bytes) -> str | None:
    return cleaned(said.param[:100], secrets=secrets_of(destination), own=own) or None if said.param else None


def busy(status: int, retry_after: str, *, now: datetime) -> Refusal:
    """An upstream that is busy or overloaded (429, 503, 529) is a 503; its Retry-After goes on."""
    headers = {"Retry-After": str(seconds_of(retry_after, now=now))}
    words = "The model's provider is busy." if status in BUSY else "The model's provider is overloaded."
    return Refusal(503, "provider_unavailable", words, headers=headers)


def seconds_of(retry_after: str, *, now: datetime) -> int:
    """Seconds to wait: told as a number or as a date; a usual wait where it says nothing that can be meant."""
    text = retry_after.strip()[:64]
    try:
        wait = math.ceil(Decimal(text)) if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text) else None
        if wait is None:
            moment = parsedate_to_datetime(text)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            wait = math.ceil((moment - now).total_seconds())
    except (ValueError, OverflowError, TypeError):
        return DEFAULT_WAIT
    return min(max(wait, 1), LONGEST_WAIT)


def read_body(body: bytes) -> Said:
    """What an error's body says: JSON, events, or a line of text; a page or half a JSON says nothing."""
    text = body.decode("utf-8", "replace").strip().removeprefix("\ufeff").strip()
    for candidate in (text, *_payloads(text)):
        try:
            value = lossless.load(candidate.encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        if (said := read(value)) != Said():
            return said
    is_plain = (
        bool(text)
        and "\ufffd" not in text
        and text[0] not in '{[<"'
        and not text.startswith(("data:", "event:", "id:", ":"))
    )
    return Said(sentence=text) if is_plain else Said()


def read(error: object) -> Said:
    """What a parsed error says, wherever its shape has the sentence."""
    sentence, param = "", ""
    codes: list[str] = []
    for place in _places(error):
        if isinstance(place, str):
            sentence = sentence or place
            continue
        sentence = sentence or next((text for name in SENTENCES if (text := _text(place.get(name)))), "")
        sentence = sentence or _details(place.get("detail"))
        param = param or _text(place.get("param")) or _param_of(place.get("detail"))
        codes += [text for name in ("code", "type", "status", "reason") if (text := _text(place.get(name)))]
    return Said(sentence.strip(), tuple(codes[:MOST_ITEMS]), param)


def _places(error: object) -> Iterator[Mapping[str, Any] | str]:
    """The error itself and what it holds that is an error again, innermost first, as that says it best; a few and no
    more."""
    waiting: list[object] = [error]
    for _step in range(3 * MOST_ITEMS):
        if not waiting:
            return
        place = waiting.pop(0)
        if isinstance(place, list):
            waiting[:0] = place[:MOST_ITEMS]
        elif isinstance(place, str):
            if place.strip():
                yield place
        elif isinstance(place, dict):
            inner = {name: _unpacked(place.get(name)) for name in HOLDERS}
            held = {name: part for name, part in inner.items() if isinstance(part, dict | list)}
            if isinstance(held.get("detail"), list):
                del held["detail"]  # FastAPI's, read with the rest
            rest = {name: value for name, value in place.items() if name not in held}
            if not held:
                yield rest
                waiting += [place["error"]] if isinstance(place.get("error"), str) else []
            else:
                waiting = [*held.values(), rest, *waiting]


def _unpacked(value: object) -> object:
    """What a text holds that is JSON itself, as gateways pass on what they were told."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return lossless.load(value.encode("utf-8", "replace"))
    except ValueError:
        return value


def _details(detail: object) -> str:
    """FastAPI's `detail`: a text, or a list of what is wrong where."""
    if isinstance(detail, str):
        return detail
    if isinstance(detail, dict):
        return next((text for name in SENTENCES if (text := _text(detail.get(name)))), "")
    items = [item for item in detail[:MOST_ITEMS] if isinstance(item, dict)] if isinstance(detail, list) else []
    lines = []
    for item in items:
        place = ".".join(str(part) for part in item["loc"][:MOST_ITEMS]) if isinstance(item.get("loc"), list) else ""
        if text := _text(item.get("msg")):
            lines.append(f"{place}: {text}" if place else text)
    return "; ".join(lines)


def _param_of(detail: object) -> str:
    """The field at fault in FastAPI's list, where it names one alone."""
    places = [item.get("loc") for item in detail if isinstance(item, dict)] if isinstance(detail, list) else []
    if len(places) != 1 or not isinstance(places[0], list) or places[0][:1] != ["body"]:
        return ""
    return ".".join(str(part) for part in places[0][1:MOST_ITEMS])


def _payloads(text: str) -> Iterator[str]:
    """The data of an error that is framed as events."""
    for line in text.splitlines()[:200]:
        for name in ("data:", "error:"):
            if line.startswith(name):
                yield line.removeprefix(name).strip()


def _text(value: object) -> str:
    if isinstance(value, str):
        return value if value.strip() else ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9 else ""
