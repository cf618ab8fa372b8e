"""What Messages refuses of a conversation: loose calls, foreign signatures, a beta's field without its name."""

import re
from typing import Any

from sandbox.upstream.chat import Refused
from sandbox.upstream.model import seals

Block = dict[str, Any]
ID = re.compile(r"[a-zA-Z0-9_-]+")
BETAS = {"context_management": ("context-management-", "compact-"), "mcp_servers": ("mcp-client-",)}
"""A field of the body, and how a beta begins that has it."""


def blocks_in(message: dict[str, Any]) -> list[Block]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content or () if isinstance(block, dict)]


def check_beta(body: dict[str, Any], *, sent: list[str]) -> None:
    """Raise `Refused`."""
    named = [name.strip() for line in sent for name in line.split(",")]
    for field, begins in BETAS.items():
        if field in body and not any(name.startswith(begins) for name in named):
            raise Refused(f"{field}: Extra inputs are not permitted", param=field)


def check_turns(body: dict[str, Any]) -> None:
    """Each `tool_use` has its result first thing in the next turn, each thought its own signature. Raise `Refused`."""
    calls: set[str] = set()
    for at, message in enumerate(body["messages"]):
        if message.get("role") == "system":
            continue
        blocks = blocks_in(message)
        results = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
        for known in results:
            if known not in calls:
                problem = f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {known}."
                raise Refused(f"{problem} Each must have a `tool_use` block in the previous message.")
        if missing := calls - set(results):
            problem = f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            raise Refused(problem + ", ".join(sorted(missing)))
        if any(block.get("type") == "tool_result" for block in blocks[len(results) :]):
            raise Refused(f"messages.{at}: `tool_result` blocks must come first in the content.")
        calls = {str(block.get("id")) for block in blocks if block.get("type") == "tool_use"}
        for known in calls:
            if ID.fullmatch(known) is None:
                raise Refused(f"messages.{at}: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        for number, block in enumerate(blocks):
            if block.get("type") == "thinking" and not _is_signed(block):
                raise Refused(f"messages.{at}.content.{number}: Invalid `signature` in `thinking` block")
    if calls:
        raise Refused("`tool_use` ids were found without `tool_result` blocks: " + ", ".join(sorted(calls)))


def _is_signed(block: Block) -> bool:
    signature = block.get("signature")
    return isinstance(signature, str) and seals.fits(str(block.get("thinking", "")), sealed=signature)
