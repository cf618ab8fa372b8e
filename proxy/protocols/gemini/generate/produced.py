"""What counts as produced by a model: counted where an upstream tells no usage."""

from collections.abc import Mapping
from typing import Any

from proxy.protocols.lossless import write

WORDS = ("text", "functionCall", "executableCode", "codeExecutionResult")
SEALED = ("inlineData", "fileData", "thoughtSignature")
"""Produced, but not to be counted by its bytes."""


def produced_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of what an answer's candidates say; at least 1 where they hold anything produced, 0 where nothing."""
    candidates = answer.get("candidates")
    found, is_sealed = 0, False
    for candidate in candidates if isinstance(candidates, list) else ():
        content = candidate.get("content") if isinstance(candidate, dict) else None
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                found += sum(_bytes(part[name]) for name in WORDS if part.get(name))
                is_sealed = is_sealed or any(part.get(name) for name in SEALED)
    return found or int(is_sealed)


def _bytes(said: Any) -> int:
    return len(said.encode("utf-8", "replace")) if isinstance(said, str) else len(write(said))
