"""The choices of an answer or of a stream's event."""

from collections.abc import Mapping
from typing import Any


def choices_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
