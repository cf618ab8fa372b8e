"""Responses as callers and upstreams speak it, for tests: an answer, its events, and what they say."""

from typing import Any

import orjson

ITEM = {"id": "msg_theirs", "type": "message", "status": "completed", "role": "assistant"}


def said_item(words: str = "one two three") -> dict[str, Any]:
    return {**ITEM, "content": [{"type": "output_text", "text": words, "annotations": [], "logprobs": []}]}


def response_usage(input_tokens: int = 20, output_tokens: int = 5, *, cached: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
        **more,
    }


def response(**more: Any) -> dict[str, Any]:
    return {
        "id": "resp_theirs",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "m-2026",
        "output": [said_item()],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": response_usage(),
        "store": True,
        **more,
    }


def responded(kind: str, **said: Any) -> bytes:
    """An event of Responses."""
    data = orjson.dumps({"type": f"response.{kind}", "sequence_number": 0, **said})
    return b"event: response.%b\ndata: %b\n\n" % (kind.encode(), data)


AT = {"item_id": ITEM["id"], "output_index": 0, "content_index": 0}
PART = {"type": "output_text", "text": "", "annotations": []}
BEGUN = response(status="in_progress", output=[], usage=None)


def response_words(*words: str) -> list[bytes]:
    """From the head to the words; the item is still open."""
    return [
        responded("created", response=BEGUN),
        responded("in_progress", response=BEGUN),
        responded("output_item.added", output_index=0, item={**ITEM, "status": "in_progress", "content": []}),
        responded("content_part.added", **AT, part=PART),
        *(responded("output_text.delta", **AT, delta=word, logprobs=[]) for word in words),
    ]


def response_ending(kind: str = "completed", **more: Any) -> list[bytes]:
    whole = response(**{"status": kind, **more})
    return [
        responded("output_text.done", **AT, text="one two three "),
        responded("content_part.done", **AT, part={**PART, "text": "one two three "}),
        responded("output_item.done", output_index=0, item=said_item("one two three ")),
        responded(kind, response=whole),
    ]


def response_words_of(said: Any) -> str:
    if said.get("object") == "response":
        parts = [part for item in said["output"] for part in item.get("content") or ()]
        return "".join(part.get("text", "") for part in parts)
    return str(said["delta"]) if said.get("type") == "response.output_text.delta" else ""


def response_code_of(said: Any) -> str:
    holder = said.get("response") or said
    code = str(holder["error"]["code"]) if holder.get("error") else ""
    return "provider_error" if code == "server_error" else code
