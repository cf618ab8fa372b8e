"""Tokens and answers.

One token is one CJK character, or a run of up to four other characters. A prompt costs 3 tokens, and each message 4
more besides its text (and its tool calls', as JSON); an image costs 85. So usage can be checked by hand.
"""

import json
import re
from typing import Any

# Kana, CJK ideographs, Hangul, and their full-width punctuation.
CJK = "\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
TOKEN = re.compile(f"[{CJK}]|[^{CJK}]{{1,4}}", re.DOTALL)
IMAGE_TOKENS = 85
ECHO = 400  # characters of the question repeated at most
ENGLISH = (
    'This is the sandbox model, standing in for {model}; no real model was called. You wrote: "{echo}" '
    "A real model would answer that here. The tokens of this answer are counted and charged like any other, "
    "so you can watch the hold, the usage and the settlement. To talk to a real model, add an upstream with a key of "
    "your own to the catalog."
)
CHINESE = (
    "这里是沙盒模型，代替 {model} 作答，并没有调用真实的模型。你写的是：“{echo}”"
    "真实的模型会在这里给出回答。这段回答的词元照常计数、照常计费，你可以看到预扣、用量和结算的全过程。"
    "想与真实的模型对话，请在目录里添加一个上游和你自己的密钥。"
)


def tokens(text: str) -> list[str]:
    """The pieces of a text; joined, they are the text."""
    return TOKEN.findall(text)


def prompt_tokens(messages: list[Any], tools: Any = None) -> int:
    total = 3
    for message in messages:
        total += 4
        content = message.get("content") if isinstance(message, dict) else message
        total += content_tokens(content)
        if isinstance(message, dict) and message.get("tool_calls"):
            total += len(tokens(json.dumps(message["tool_calls"], ensure_ascii=False)))
    return total + (len(tokens(json.dumps(tools, ensure_ascii=False))) if tools else 0)


def content_tokens(content: Any) -> int:
    if isinstance(content, str):
        return len(tokens(content))
    if not isinstance(content, list):
        return 0
    parts = [part for part in content if isinstance(part, dict)]
    images = sum(1 for part in parts if part.get("type") in ("image_url", "image"))
    return images * IMAGE_TOKENS + sum(len(tokens(str(part.get("text", "")))) for part in parts)


def question(messages: list[Any]) -> str:
    """The text of the last message of the user."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict)).strip()
    return ""


def reply(asked: str, *, model: str) -> str:
    """In Chinese if the question has Chinese in it, else in English."""
    pattern = CHINESE if re.search("[\u4e00-\u9fff]", asked) else ENGLISH
    return pattern.format(model=model, echo=asked[:ECHO] + ("…" if len(asked) > ECHO else ""))


def of_length(count: int) -> str:
    """A text of exactly that many tokens."""
    return "".join(f"w{index % 100:02} " for index in range(count))
