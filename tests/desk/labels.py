"""Fields of a page that a screen reader could not name."""

from html.parser import HTMLParser

UNSEEN = {"hidden", "submit", "button", "image", "reset"}
NAMES = ("aria-label", "aria-labelledby", "title", "placeholder")
"""What names a field beside its label, as axe's rule `label` takes it."""


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.labelled: set[str] = set()
        self.found: list[tuple[str, str, bool]] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "label":
            self.depth += 1
            self.labelled.add(given.get("for") or "")
        elif tag in {"select", "textarea"} or (tag == "input" and given.get("type") not in UNSEEN):
            is_named = bool(self.depth) or any(given.get(name) for name in NAMES)
            self.found.append((given.get("id") or "", given.get("name") or tag, is_named))

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "label"


def unlabelled(page: str) -> list[str]:
    """The names of the fields that nothing names."""
    fields = _Fields()
    fields.feed(page)
    return [name for id_, name, is_named in fields.found if not is_named and (not id_ or id_ not in fields.labelled)]
