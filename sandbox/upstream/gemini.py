"""Gemini's `generateContent`, `streamGenerateContent`, `countTokens` and embeddings: the same model behind them.

It thinks where it is asked to, calls a function where it has to, searches where it is given a search, and counts a
prompt that goes on from an earlier turn as read from a cache.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from sandbox import crypto
from sandbox.upstream import chat, faults, gemini_shapes, text
from sandbox.upstream.kin.embeddings import vector_of
from sandbox.upstream.model import coding, seals, structured
from sandbox.upstream.stream import HEADERS, cut_or_hang
from sandbox.world import WORLD

Piece = dict[str, Any]
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
THOUGHT = "The user wrote something. A short answer will do."
UNDERSCORE = re.compile(r"_([a-z])")
OWN = frozenset(
    {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "sandbox"}
)
FIRST = 4  # paces before the first piece
WIDTH = 8
UNSIGNED = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""What stands for a signature in a call that another model made."""


@dataclass(frozen=True)
class Answer:
    """`parts` of the one candidate, whole, each in its pieces; `usage` in Gemini's names."""

    id: str
    model: str
    parts: list[list[Piece]]
    reason: str
    usage: Piece | None
    grounds: Piece | None
    fault: str


def routes() -> list[web.RouteDef]:
    return [web.post("/upstream/v1/models/{model:.+}:{verb}", answer)]


async def answer(request: web.Request) -> web.StreamResponse:
    if refused := _check_key(request):
        return refused
    model, verb = request.match_info["model"], request.match_info["verb"]
    try:
        body = orjson.loads(await request.read())
        if not isinstance(body, dict):
            raise chat.Refused("The body must be a JSON object.")
        body = spelt_alike(body)
        request.app[chat.CALLS].note({"model": model, **body}, dict(request.headers))
        fault = faults.name_of({"model": model, **body})
        if verb == "countTokens":
            return _json({"totalTokens": prompt_tokens(body.get("generateContentRequest") or body)})
        if verb == "embedContent":
            return _json({"embedding": _embedding(body), "usageMetadata": {"promptTokenCount": _embedded(body)}})
        if verb == "batchEmbedContents":
            return _json({"embeddings": [_embedding(one) for one in body["requests"]]})
        found = think(body, model=model, fault=fault)
    except orjson.JSONDecodeError:
        return error(400, "Invalid JSON payload received.")
    except chat.Refused as reason:
        return error(400, str(reason))
    if (failed := await refusal(fault)) is not None:
        return failed
    if fault in gemini_shapes.SHAPES:
        is_stream = verb == "streamGenerateContent"
        sent = gemini_shapes.SHAPES[fault][1](gemini_shapes.Said(whole(found), [*pieces_of(found)], is_stream))
        return web.Response(body=sent.body, status=sent.status, headers={"Content-Type": sent.label, **sent.headers})
    if verb == "streamGenerateContent":
        pace = chat.option(body, "pace_ms", request.app[WORLD].config.pace * 1000) / 1000
        return await stream(request, found, pace=pace)
    if verb != "generateContent":
        return error(404, f"models/{model} is not found for {verb}.")
    if fault == "garbage":
        return web.Response(text="<!doctype html>not json", content_type="application/json")
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        return await chat.broken(request, whole(found), is_cut=fault == "eof-mid-stream")
    return _json(whole(found))


def spelt_alike(said: Any) -> Any:
    """Names as `maxOutputTokens`, whichever of the two ways they are spelt; what is the caller's own stays."""
    if isinstance(said, list):
        return [spelt_alike(one) for one in said]
    if not isinstance(said, dict):
        return said
    return {
        camel: value if camel in OWN else spelt_alike(value)
        for name, value in said.items()
        if (camel := UNDERSCORE.sub(lambda letter: letter[1].upper(), name))
    }


def think(body: Piece, *, model: str, fault: str = "") -> Answer:
    """Raise `chat.Refused`. The field `sandbox` fixes length and usage, as for chat."""
    contents, config = _listed(body.get("contents")), body.get("generationConfig") or {}
    if not contents:
        raise chat.Refused("* GenerateContentRequest.contents: contents is not specified")
    asked: Piece = {"model": model, "messages": [_message(one) for one in contents], "sandbox": body.get("sandbox")}
    if (limit := config.get("maxOutputTokens")) is not None:
        asked["max_tokens"] = limit
    said = chat.think({name: value for name, value in asked.items() if value is not None})
    check_signatures(contents, model=model)
    step = _step(body)
    call = _call(body) or ({"name": step.name, "args": step.arguments} if isinstance(step, coding.Call) else None)
    pieces = text.tokens(step) if isinstance(step, str) else said.choices[0]
    if call is None and config.get("responseMimeType") == "application/json":
        schema = config.get("responseJsonSchema") or config.get("responseSchema") or structured.ANSWER
        pieces = text.tokens(orjson.dumps(structured.fitting(schema)).decode())
    thinking = config.get("thinkingConfig") or {}
    thoughts = text.tokens(THOUGHT) if thinking.get("includeThoughts") or thinking.get("thinkingBudget") else []
    parts: list[list[Piece]] = [[{"text": THOUGHT, "thought": True}]] if thinking.get("includeThoughts") else []
    if call is not None:
        signed = {"functionCall": call, "thoughtSignature": seals.seal(call["name"])}
        parts.append([signed])
        pieces = text.tokens(orjson.dumps(call).decode())
    else:
        parts.append([{"text": "".join(pieces[at : at + 2])} for at in range(0, len(pieces), 2)])
    prompt, grounds = prompt_tokens(body), _grounds(body)
    usage: Piece = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": len(pieces),
        "totalTokenCount": prompt + len(pieces) + len(thoughts),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if thoughts:
        usage["thoughtsTokenCount"] = len(thoughts)
    if any(one.get("role") == "model" for one in contents):
        usage["cachedContentTokenCount"] = prompt // 2
    told = body.get("sandbox")
    if isinstance(told, dict) and isinstance(told.get("usage"), dict):
        usage |= told["usage"]
    return Answer(
        id=crypto.letters(22),
        model=model,
        parts=parts,
        reason="MAX_TOKENS" if said.finish == "length" and call is None else "STOP",
        usage=_bent(fault, usage),
        grounds=grounds,
        fault=fault,
    )


def whole(found: Answer) -> Piece:
    parts = [_joined(pieces) for pieces in found.parts]
    return _piece(found, parts, ends=True)


def pieces_of(found: Answer) -> Iterator[Piece]:
    """Each part in its pieces; the last one tells why it ended, and all of the usage."""
    every = [piece for part in found.parts for piece in part]
    for piece in every[:-1]:
        yield _piece(found, [piece], ends=False)
    yield _piece(found, every[-1:], ends=True)


async def stream(request: web.Request, found: Answer, *, pace: float) -> web.StreamResponse:
    """`pace` is seconds between pieces. As events with `alt=sse`, else as an array."""
    is_events = request.query.get("alt") == "sse"
    headers = HEADERS if is_events else {"Content-Type": "application/json"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await asyncio.sleep(pace * FIRST)
    pieces = [*pieces_of(found)]
    middle = len(pieces) // 2
    for index, piece in enumerate(pieces):
        before = b"data: " if is_events else b"," if index else b"["
        if index == middle and await _go_wrong(request, response, found, before=before):
            return response
        if index == len(pieces) - 1 and found.fault == "no-done":
            break
        if found.fault == "usage-middle" and index == len(pieces) - 1:
            piece.pop("usageMetadata", None)
        await response.write(before + orjson.dumps(piece) + (b"\r\n\r\n" if is_events else b"\r\n"))
        if pace and index:
            await asyncio.sleep(pace)
    await response.write_eof(b"" if is_events else b"]")
    return response


async def _go_wrong(request: web.Request, response: web.StreamResponse, found: Answer, *, before: bytes) -> bool:
    """What a fault does in the middle; whether that is the end."""
    fault = found.fault
    if fault == "usage-middle":
        await response.write(before + orjson.dumps({"usageMetadata": found.usage}) + b"\r\n\r\n")
    if fault == "garbage":
        await response.write(b"data: {not json\r\n\r\n<html>\r\n\r\n")
    if fault == "error-in-stream":
        problem = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
        await response.write(before + orjson.dumps(problem) + b"\r\n\r\n")
        await response.write_eof()
        return True
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        await cut_or_hang(request, is_cut=fault == "eof-mid-stream")
        return True
    return False


def prompt_tokens(body: Piece) -> int:
    messages = [_message(one) for one in _listed(body.get("contents"))]
    system = body.get("systemInstruction")
    system_tokens = len(text.tokens(_message(system)["content"])) if isinstance(system, dict) else 0
    return text.prompt_tokens(messages, body.get("tools")) + system_tokens


async def refusal(name: str) -> web.StreamResponse | None:
    """The answer of a fault that happens before the model speaks."""
    if name == "400":
        return error(400, "The input token count (9) exceeds the maximum number of tokens allowed (8).")
    if name in faults.ERRORS:
        status, _kind, _code, words = faults.ERRORS[name]
        return error(status, words, retry_after=2 if name == "429" else 0)
    return await faults.refusal(name)


def error(status: int, words: str, *, retry_after: int = 0, reason: str = "") -> web.Response:
    told: Piece = {"code": status, "message": words, "status": STATUSES.get(status, "UNKNOWN")}
    if reason:
        told["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    body = orjson.dumps({"error": told})
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _piece(found: Answer, parts: list[Piece], *, ends: bool) -> Piece:
    candidate: Piece = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if ends:
        candidate["finishReason"] = found.reason
        candidate |= {"groundingMetadata": found.grounds} if found.grounds else {}
    said: Piece = {"candidates": [candidate]}
    if found.usage is not None:
        known = ("promptTokenCount", "promptTokensDetails", "cachedContentTokenCount")
        begun = {name: found.usage[name] for name in known if name in found.usage}
        said["usageMetadata"] = found.usage if ends else begun
    return {**said, "modelVersion": found.model, "responseId": found.id}


def _joined(pieces: list[Piece]) -> Piece:
    return pieces[0] if len(pieces) == 1 else {"text": "".join(piece["text"] for piece in pieces)}


def _message(content: Piece) -> Piece:
    """As chat has it."""
    texts = [str(part.get("text", "")) for part in _listed(content.get("parts"))]
    return {"role": str(content.get("role") or "user"), "content": " ".join(filter(None, texts))}


def _listed(said: Any) -> list[Piece]:
    return [said] if isinstance(said, dict) else said if isinstance(said, list) else []


def _call(body: Piece) -> Piece | None:
    """The first function, with what it requires, if the request demands a call and no result stands in it yet."""
    if b'"functionResponse"' in orjson.dumps(body.get("contents")):
        return None
    mode = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode")
    known = [one for tool in _listed(body.get("tools")) for one in tool.get("functionDeclarations") or ()]
    if not known or mode != "ANY":
        return None
    schema = known[0].get("parametersJsonSchema") or known[0].get("parameters")
    return {"name": known[0]["name"], "args": structured.arguments(schema)}


def _step(body: Piece) -> coding.Call | str | None:
    """In a coding session, unless the caller wants no call."""
    said: list[str | None] = []
    for content in _listed(body.get("contents")):
        if content.get("role") != "model":
            for part in _listed(content.get("parts")):
                said.extend([None] if "functionResponse" in part else coding.texts_of([part]))
    mode = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode")
    declared = [one for tool in _listed(body.get("tools")) for one in tool.get("functionDeclarations") or ()]
    tools = [
        coding.Tool(one["name"], one.get("parametersJsonSchema") or one.get("parameters") or {}) for one in declared
    ]
    return coding.step(said, [] if mode == "NONE" else tools)


def check_signatures(contents: list[Piece], *, model: str) -> None:
    """A signature is one that was given with that call; a model of the third generation wants it back."""
    for content in contents:
        for part in _listed(content.get("parts")):
            call, signature = part.get("functionCall"), part.get("thoughtSignature")
            if signature in UNSIGNED:
                continue
            if signature is not None and not seals.fits(call["name"] if call else "", sealed=signature):
                raise chat.Refused("Thought signature is not valid")
            if call and signature is None and model.rpartition("/")[2].startswith("gemini-3"):
                raise chat.Refused(f"Function call is missing a thought_signature: {call.get('name')}")


def _grounds(body: Piece) -> Piece | None:
    if not any("googleSearch" in tool for tool in _listed(body.get("tools"))):
        return None
    return {"webSearchQueries": ["sandbox"], "groundingChunks": [{"web": {"uri": "https://example.com"}}]}


def _embedding(body: Piece) -> Piece:
    width = body.get("outputDimensionality") or WIDTH
    return {"values": vector_of(_message(body.get("content") or {})["content"], width)}


def _embedded(body: Piece) -> int:
    return len(text.tokens(_message(body.get("content") or {})["content"]))


def _bent(fault: str, usage: Piece) -> Piece | None:
    """What is claimed instead of the truth."""
    if fault == "no-usage":
        return None
    if fault in ("huge-usage", "zero-usage"):
        count = 4_000_000_000 if fault == "huge-usage" else 0
        return {"promptTokenCount": count, "candidatesTokenCount": count, "totalTokenCount": 2 * count}
    return usage


def _check_key(request: web.Request) -> web.Response | None:
    key = request.headers.get("x-goog-api-key", "")
    if not key or key == "sk-bad" or "key" in request.query:
        return error(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")
    return None


def _json(content: Any) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")
