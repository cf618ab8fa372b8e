"""The protocols that callers and upstreams speak, for tests that hold for each: the same answer in the form of each.

@each_protocol
def test_something(gateway, upstream, spoken): ...
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from tests.spoken_responses import (
    AT,
    responded,
    response,
    response_code_of,
    response_ending,
    response_words,
    response_words_of,
)
from tests.upstream import STREAM, FakeUpstream, answer, chunk, usage


@dataclass(frozen=True, eq=False)
class Spoken:
    """`stream` are the events of an answer of three words that used 20 tokens and 5; `told` is the answer in one piece.

    `begun` are the events of a stream that has said four words and not ended; the rest reads what callers get.
    """

    name: str
    path: str
    protocol: str
    stream: Sequence[bytes]
    begun: Sequence[bytes]
    told: dict[str, Any]
    last: bytes
    """What ends a stream."""
    words_of: Callable[[Any], str]
    """What an answer or an event says."""
    code_of: Callable[[Any], str]
    """Of an answer or an event that is an error, its code or type; "" where it is none."""
    failed: Callable[[str], bytes]
    """An event that is an error, with these words."""
    word: Callable[[str], bytes]
    """An event that says this."""
    head: int
    """How many events of `stream` stand before its three words."""
    counts: tuple[str, str]
    """The names of the tokens of input and output in its usage."""
    usage: str = "usage"
    """Where its usage stands."""
    holder: Callable[[Any], Any] = lambda said: said
    """What has the usage in an answer or an event."""
    codes: dict[str, str] = field(default_factory=dict)
    """What an error of the gateway is called here, by its code in OpenAI's shape."""
    paths: tuple[str, ...] = ()
    """What the upstream has of its protocol; nothing: all."""
    stream_path: str = ""
    """Where a stream is asked for at a path of its own, and not by a field."""
    says: Callable[[str], dict[str, Any]] = lambda words: {
        "model": "openai/m",
        "messages": [{"role": "user", "content": words}],
        "max_tokens": 100,
    }
    """The body of a request that says these words."""

    def __str__(self) -> str:
        return self.name

    @property
    def opening(self) -> Sequence[bytes]:
        """What stands before the words."""
        return self.stream[: self.head]

    @property
    def words(self) -> Sequence[bytes]:
        return self.stream[self.head : self.head + 3]

    @property
    def ending(self) -> Sequence[bytes]:
        """What stands behind the words."""
        return self.stream[self.head + 3 :]

    @property
    def asked(self) -> dict[str, Any]:
        return self.says("hello")

    def place(self, *, stream: bool) -> str:
        """The path of such a request."""
        return self.stream_path if stream and self.stream_path else self.path

    def body(self, words: str = "hello", *, stream: bool, **more: Any) -> dict[str, Any]:
        """The body of such a request."""
        return {**({"stream": stream} if stream and not self.stream_path else {}), **self.says(words), **more}

    def upstream(self) -> FakeUpstream:
        return FakeUpstream(self.protocol, json=deepcopy(self.told), events=self.stream, paths=self.paths)

    def code(self, code: str) -> str:
        return self.codes.get(code, code)

    @staticmethod
    def events_in(text: str) -> list[Any]:
        """The data of a stream's events as JSON, but for [DONE]."""
        lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
        return [orjson.loads(line) for line in lines if line != "[DONE]"]


def renamed(answer: bytes) -> bytes:
    """What an upstream said, under the name by which its model is asked for."""
    return answer.replace(b'"m-2026"', b'"openai/m"')


def _chat_words(said: Any) -> str:
    found = [choice.get("delta") or choice.get("message") or {} for choice in said.get("choices") or ()]
    return "".join(one.get("content") or "" for one in found)


def _chat_code(said: Any) -> str:
    error = said.get("error")
    return str(error["code"]) if error else ""


CHAT = Spoken(
    name="chat",
    path="/v1/chat/completions",
    protocol="openai",
    stream=STREAM,
    begun=[chunk({"role": "assistant", "content": ""}), chunk({"content": "one two three four "})],
    told=answer(),
    last=b"data: [DONE]\n\n",
    words_of=_chat_words,
    code_of=_chat_code,
    word=lambda text: chunk({"content": text}),
    head=1,
    counts=("prompt_tokens", "completion_tokens"),
    failed=lambda words: b"data: " + orjson.dumps({"error": {"message": words, "type": "server_error"}}) + b"\n\n",
)


def text(words: str = "", *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A completion without chat, or a chunk of one."""
    choices = [{"index": 0, "text": words, "logprobs": None, "finish_reason": finish}]
    return {
        "id": "cmpl-theirs",
        "object": "text_completion",
        "created": 1,
        "model": "m-2026",
        "choices": choices,
        **more,
    }


def texts(*words: str) -> list[bytes]:
    return [b"data: " + orjson.dumps(text(word)) + b"\n\n" for word in words]


def _text_words(said: Any) -> str:
    return "".join(choice.get("text") or "" for choice in said.get("choices") or ())


COMPLETIONS = Spoken(
    name="completions",
    path="/v1/completions",
    protocol="openai",
    stream=[
        *texts("one ", "two ", "three "),
        b"data: " + orjson.dumps(text(finish="stop")) + b"\n\n",
        b"data: " + orjson.dumps(text(choices=[], usage=usage())) + b"\n\n",
        b"data: [DONE]\n\n",
    ],
    begun=texts("one two three four "),
    told=text("one two three", finish="stop", usage=usage()),
    last=b"data: [DONE]\n\n",
    words_of=_text_words,
    code_of=_chat_code,
    counts=("prompt_tokens", "completion_tokens"),
    failed=CHAT.failed,
    word=lambda words: texts(words)[0],
    head=0,
    says=lambda words: {"model": "openai/m", "prompt": words, "max_tokens": 100},
)


def event(kind: str, **said: Any) -> bytes:
    """An event of Messages."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **said}))


def message(**more: Any) -> dict[str, Any]:
    return {
        "id": "msg_theirs",
        "type": "message",
        "role": "assistant",
        "model": "m-2026",
        "content": [{"type": "text", "text": "one two three"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 5},
        **more,
    }


def text_events(*words: str, usage: dict[str, Any] | None = None) -> list[bytes]:
    """From the head to the words; the block is still open."""
    counts = {"input_tokens": 20, "output_tokens": 1} if usage is None else usage
    head = message(content=[], stop_reason=None, usage=counts)
    return [
        event("message_start", message=head),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in words),
    ]


def ending(usage: dict[str, Any] | None = None, *, reason: str = "end_turn") -> list[bytes]:
    counts = {"output_tokens": 5} if usage is None else usage
    return [
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=counts),
        event("message_stop"),
    ]


def _message_words(said: Any) -> str:
    if "content" in said:
        return "".join(block.get("text", "") for block in said["content"])
    delta = said.get("delta") if said.get("type") == "content_block_delta" else None
    return str(delta.get("text", "")) if delta else ""


def _message_code(said: Any) -> str:
    return str(said["error"]["type"]) if said.get("error") else ""


MESSAGES = Spoken(
    name="messages",
    path="/v1/messages",
    protocol="anthropic",
    stream=[*text_events("one ", "two ", "three "), *ending()],
    begun=text_events("one two three four "),
    told=message(),
    last=event("message_stop"),
    words_of=_message_words,
    code_of=_message_code,
    word=lambda text: event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
    head=3,
    counts=("input_tokens", "output_tokens"),
    failed=lambda words: event("error", error={"type": "api_error", "message": words}),
    codes={
        "provider_error": "api_error",
        "provider_timeout": "timeout_error",
        "provider_unavailable": "overloaded_error",
        "validation_error": "invalid_request_error",
        "context_length_exceeded": "invalid_request_error",
        "model_not_found": "not_found_error",
        "invalid_api_key": "authentication_error",
        "insufficient_balance": "billing_error",
    },
)


def piece(*parts: Any, finish: str | None = None, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer of generate, or a piece of one; texts stand for parts that are texts."""
    said = [{"text": part} if isinstance(part, str) else part for part in parts]
    candidate = {
        "content": {"role": "model", "parts": said},
        "index": 0,
        **({"finishReason": finish} if finish else {}),
    }
    counts = {"usageMetadata": usage} if usage else {}
    return {"candidates": [candidate], **counts, "modelVersion": "m-2026", "responseId": "theirs"}


def generated(*parts: Any, finish: str | None = None, usage: dict[str, Any] | None = None) -> bytes:
    """A piece as an event."""
    return b"data: " + orjson.dumps(piece(*parts, finish=finish, usage=usage)) + b"\n\n"


GENERATED_USAGE = {"promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 25}


def _generated_words(said: Any) -> str:
    parts = [part for one in said.get("candidates") or () for part in one.get("content", {}).get("parts", ())]
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


def _generated_code(said: Any) -> str:
    return str(said["error"]["status"]) if said.get("error") else ""


GENERATE = Spoken(
    name="generate",
    path="/v1beta/models/openai/m:generateContent",
    stream_path="/v1beta/models/openai/m:streamGenerateContent?alt=sse",
    protocol="gemini",
    stream=[
        generated("one ", usage={"promptTokenCount": 20, "totalTokenCount": 20}),
        generated("two ", usage={"promptTokenCount": 20, "candidatesTokenCount": 3, "totalTokenCount": 23}),
        generated("three "),
        generated("", finish="STOP", usage=GENERATED_USAGE),
    ],
    begun=[generated("one two three four ", usage={"promptTokenCount": 20, "totalTokenCount": 20})],
    told=piece("one two three", finish="STOP", usage=GENERATED_USAGE),
    last=b'"}}\n\n',
    words_of=_generated_words,
    code_of=_generated_code,
    word=lambda text: generated(text),
    head=0,
    counts=("promptTokenCount", "candidatesTokenCount"),
    usage="usageMetadata",
    failed=lambda words: b"data: " + orjson.dumps({"error": {"code": 500, "message": words}}) + b"\n\n",
    codes={
        "provider_error": "INTERNAL",
        "provider_timeout": "DEADLINE_EXCEEDED",
        "provider_unavailable": "UNAVAILABLE",
        "validation_error": "INVALID_ARGUMENT",
        "context_length_exceeded": "INVALID_ARGUMENT",
        "insufficient_balance": "FAILED_PRECONDITION",
    },
    says=lambda words: {
        "contents": [{"role": "user", "parts": [{"text": words}]}],
        "generationConfig": {"maxOutputTokens": 100},
    },
)
RESPONSES = Spoken(
    name="responses",
    path="/v1/responses",
    protocol="openai",
    stream=[*response_words("one ", "two ", "three "), *response_ending()],
    begun=response_words("one two three four "),
    told=response(),
    last=b'"}}}\n\n',
    words_of=response_words_of,
    code_of=response_code_of,
    word=lambda text: responded("output_text.delta", **AT, delta=text, logprobs=[]),
    head=4,
    counts=("input_tokens", "output_tokens"),
    failed=lambda words: event("error", code="server_error", message=words, param=None, sequence_number=9),
    says=lambda words: {"model": "openai/m", "input": words, "max_output_tokens": 100},
    holder=lambda said: said.get("response") or said,
)


def across(caller: Spoken, upstream: Spoken, *paths: str) -> Spoken:
    """What a caller of one protocol says and gets, before an upstream of another, which may have these paths alone."""
    theirs = ("protocol", "stream", "begun", "told", "failed", "word", "head")
    return replace(
        caller,
        name=f"{caller.name} on {upstream.name}",
        paths=paths,
        **{name: getattr(upstream, name) for name in theirs},
    )


TRANSLATED = (
    *(across(CHAT, MESSAGES), across(MESSAGES, CHAT)),
    *(across(RESPONSES, CHAT, "chat"), across(MESSAGES, RESPONSES, "responses")),
)
ALL = (CHAT, COMPLETIONS, MESSAGES, GENERATE, RESPONSES)
each_protocol = pytest.mark.parametrize("spoken", ALL, ids=str)
"""For a test that holds for each of them."""
each_way = pytest.mark.parametrize("spoken", [*ALL, *TRANSLATED], ids=str)
"""For a test that holds for callers and upstreams of different protocols too."""
