"""What a guide is made of, and how its blocks are filled in."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.records import value

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

PLACE = re.compile(r"\{\{(\w+)\}\}")


@value
class Block:
    """To paste: a shell's lines, or what a file at `path` holds. `{{url}}`, `{{key}}`, `{{claude}}` are filled in."""

    language: str
    text: str
    path: str = ""


@value
class Guide:
    """`name` is a product's and never translated; `notes` are translatable sentences."""

    slug: str
    name: str
    speaks: str
    blocks: tuple[Block, ...]
    notes: tuple["str | _StrPromise", ...] = ()


@value
class Settings:
    """What goes in: the site's address without a slash at its end, a key or what stands for it, ids of models."""

    url: str
    key: str
    claude: str = "anthropic/claude-sonnet-4-6"
    gpt: str = "openai/gpt-5.4"
    gemini: str = "google/gemini-2.5-pro"
    small: str = "openai/gpt-4.1-nano"

    def fill(self, block: Block) -> str:
        return PLACE.sub(lambda place: getattr(self, place[1]), block.text)

    def on_offer(self, slugs: Iterable[str]) -> "Settings":
        """With models of a catalog: of each maker those named here if it has them, else its first one."""
        offered = list(slugs)

        def chosen(slug: str) -> str:
            maker = slug.partition("/")[0]
            same = [one for one in offered if one.partition("/")[0] == maker]
            return slug if slug in same or not same else same[0]

        return Settings(self.url, self.key, *map(chosen, (self.claude, self.gpt, self.gemini, self.small)))
