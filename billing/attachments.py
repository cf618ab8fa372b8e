"""Files that are made as a mail leaves: each kind by whoever knows what it says. The mail keeps but which one."""

from collections.abc import Callable
from datetime import datetime

Maker = Callable[[int | None, str, str, datetime], tuple[str, bytes, str]]
"""(customer's id, number, language, now) -> name, content and type of the file; raises where there is none."""

_makers: dict[str, Maker] = {}


def register(kind: str, maker: Maker) -> None:
    """Let an app make the files of a kind; a repeat changes nothing."""
    if _makers.setdefault(kind, maker) is not maker:
        raise RuntimeError(f"{kind} is made already")


def named(kind: str, number: str, locale: str) -> str:
    """What a mail keeps of a file that it is to have."""
    return f"{kind}:{number}:{locale}"


def made(name: str, *, customer_id: int | None, now: datetime) -> tuple[str, bytes, str]:
    """The file, as `EmailMessage.attach` takes it. Raises what its maker raises, `KeyError` for a kind nobody makes."""
    kind, number, locale = name.split(":")
    return _makers[kind](customer_id, number, locale, now)
