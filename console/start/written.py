"""The guides as Markdown, for docs/agents.md."""

from collections.abc import Iterable, Iterator

from console.start.guide import Guide, Settings

SHOWN = Settings("https://chuizi.example", "ck-...")
"""What stands in place of a site and a key where nobody's own is known."""


def markdown(guides: Iterable[Guide], *, heading: str = "###") -> str:
    return "\n".join(line for guide in guides for line in _lines(guide, heading))


def _lines(guide: Guide, heading: str) -> Iterator[str]:
    yield from (f"{heading} {guide.name}", "", f"{guide.speaks}.", "")
    for block in guide.blocks:
        if block.path:
            yield from (f"`{block.path}`:", "")
        yield from (f"```{block.language}", SHOWN.fill(block).rstrip(), "```", "")
    if guide.notes:
        yield from (*(f"- {note}" for note in guide.notes), "")
