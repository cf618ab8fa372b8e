"""`POST /v1/completions`: what chat would answer to each prompt, as a text."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from sandbox import crypto
from sandbox.upstream import chat, faults, text
from sandbox.upstream.kin.asking import Body, asked, option, sent
from sandbox.upstream.stream import stream
from sandbox.world import WORLD

USUAL_TOKENS = 16


def routes() -> list[web.RouteDef]:
    return [web.post("/upstream/v1/completions", asked(answering))]


async def answering(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
    answer = think(body, fault=fault)
    if body.get("stream"):
        options = body.get("stream_options")
        wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        pace = option(body, "pace_ms", request.app[WORLD].config.pace * 1000) / 1000
        return await stream(request, answer, wants_usage=wants_usage, pace=pace, shape=shaped)
    choices = [
        {"index": index, "text": "".join(pieces), "logprobs": None, "finish_reason": answer.finish}
        for index, pieces in enumerate(answer.choices)
    ]
    whole = {"id": answer.id, "object": "text_completion", "created": answer.created, "model": answer.model}
    usage = faults.bent_usage(fault, answer.usage)
    told = {} if usage is None else {"usage": usage}
    return await sent(request, {**whole, "choices": choices, **told}, fault)


def think(body: Body, *, fault: str) -> chat.Answer:
    prompts = _prompts(body.get("prompt"))
    limit = USUAL_TOKENS if body.get("max_tokens") is None else body["max_tokens"]
    kept, written = body.get("n") or 1, body.get("best_of") or body.get("n") or 1
    if written < kept:
        raise chat.Refused("You requested that the server return more choices than it will generate (n > best_of).")
    one = {**body, "messages": [{"role": "user", "content": "x"}], "n": 1, "tools": None, "max_tokens": max(1, limit)}
    answers = [
        chat.think({**one, "messages": [{"role": "user", "content": str(prompt)}]}, fault=fault) for prompt in prompts
    ]
    choices = [answer.choices[0][:limit] for answer in answers for _ in range(kept)]
    if body.get("echo"):
        echoed = [prompt for prompt in prompts for _ in range(kept)]
        choices = [[str(prompt), *pieces] for prompt, pieces in zip(echoed, choices, strict=True)]
    brought = sum(len(prompt) if isinstance(prompt, list) else len(text.tokens(prompt)) for prompt in prompts)
    made = sum(min(limit, len(answer.choices[0])) for answer in answers) * written
    usage: dict[str, Any] = {"prompt_tokens": brought, "completion_tokens": made, "total_tokens": brought + made}
    return replace(answers[0], id=f"cmpl-{crypto.letters(24)}", choices=choices, usage=usage)


def _prompts(said: Any) -> list[Any]:
    if isinstance(said, str):
        return [said]
    if not isinstance(said, list) or not said:
        raise chat.Refused("'prompt' is invalid.", param="prompt")
    return [said] if isinstance(said[0], int) else said


def shaped(chunk: dict[str, Any]) -> dict[str, Any]:
    """A chunk of chat's as one of this path."""
    choices = [
        {"index": one["index"], "text": one["delta"].get("content") or "", "finish_reason": one["finish_reason"]}
        for one in chunk["choices"]
    ]
    return {**chunk, "object": "text_completion", "choices": choices}
