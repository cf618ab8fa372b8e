"""The heads of a form and of its parts, read strictly: what one server might take for this and another for that."""

import re
from base64 import b64decode
from collections.abc import Sequence
from urllib.parse import unquote

from proxy.errors import Refusal

FORM = re.compile(
    r'multipart/form-data *; *boundary=(?:"([^"]{1,70})"|([^"; ]{1,70}))(?: *; *charset="?utf-8"?)?', re.IGNORECASE
)
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}", re.ASCII)
OPTION = re.compile(r'; *(name|filename\*?)=(?:"([^"\x00-\x1f\x7f]*)"|([^"\s;,\\\x00-\x1f\x7f]+))', re.IGNORECASE)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}(?:\[[A-Za-z0-9_]{0,63}\])?", re.ASCII)
KIND = re.compile(
    r"([a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63})((?: *;[^\x00-\x1f\x7f]*)?)", re.ASCII
)
CHARSET = re.compile(r'; *charset *= *"?([^"; ]*)"?', re.IGNORECASE)
WORD = re.compile(r"=\?utf-8\?B\?([A-Za-z0-9+/=]*)\?=", re.ASCII | re.IGNORECASE)
ENCODINGS = frozenset({"7bit", "8bit", "binary"})
"""Of Content-Transfer-Encoding: those that leave the bytes as they are."""


def refused(words: str, param: str | None = None) -> Refusal:
    return Refusal(400, "validation_error", words, param=param)


def is_form(content_type: str) -> bool:
    return content_type.strip().lower().startswith("multipart/")


def boundary_of(content_type: str) -> bytes:
    """Raises `Refusal`."""
    found = FORM.fullmatch(content_type.strip())
    boundary = (found[1] or found[2] or "") if found is not None else ""
    if not BOUNDARY.fullmatch(boundary):
        raise refused("The Content-Type must be multipart/form-data with one plain boundary.")
    return boundary.encode()


def name_of(headers: Sequence[tuple[str, str]]) -> tuple[str, str | None, str]:
    """A part's name, its file name and its media type ("" where it names none). Raises `Refusal`."""
    said: dict[str, str] = {}
    for header, value in headers:
        if header in said:
            raise refused(f"A part of the form has two headers {header[:40]}.")
        said[header] = value.strip()
    name, filename = _disposition(said.pop("Content-Disposition", ""))
    kind = _kind(said.pop("Content-Type", ""), name)
    encoding = said.pop("Content-Transfer-Encoding", "binary")
    if encoding.lower() not in ENCODINGS:
        raise refused(f"`{name}` is in a transfer encoding; send the bytes as they are.", name)
    said.pop("Content-Length", None)  # the parser compares it
    if said:
        raise refused(f"`{name}` has a header that a form has not: {next(iter(said))[:40]}.", name)
    return name, filename, kind


def _disposition(value: str) -> tuple[str, str | None]:
    kind, _, _ = value.partition(";")
    at, said = len(kind), dict[str, str]()
    while at < len(value) and (option := OPTION.match(value, at)) is not None:
        key = option[1].lower()
        if key in said:
            raise refused("A part of the form has two names.")
        said[key], at = option[2] if option[2] is not None else option[3], option.end()
    if kind.strip().lower() != "form-data" or value[at:].strip() or "name" not in said:
        raise refused("A part of the form needs a Content-Disposition with a plain name, and a file name at most.")
    name, filename = said["name"], said.get("filename")
    if not NAME.fullmatch(name):
        raise refused("A field of the form has a name that no field has.", name[:100] if name.isprintable() else None)
    if "filename*" in said:
        _, _, spelled = said["filename*"].partition("''")
        if filename is None or unquote(spelled) != _decoded(filename):
            raise refused(f"`{name}` has two file names that differ.", name)
        filename = unquote(spelled)
    return name, filename


def _decoded(filename: str) -> str:
    """A name that is not ASCII comes from .NET as a word of a mail's head (RFC 2047), beside its `filename*`."""
    word = WORD.fullmatch(filename)
    try:
        return b64decode(word[1], validate=True).decode() if word is not None else filename
    except ValueError:
        return filename


def _kind(value: str, name: str) -> str:
    if not value:
        return ""
    found = KIND.fullmatch(value.lower())
    if found is None or found[1].startswith(("multipart/", "message/")):
        raise refused(f"`{name}` has a Content-Type that no field has.", name)
    charset = CHARSET.search(found[2])
    if charset is not None and charset[1] not in ("utf-8", "us-ascii"):
        raise refused(f"`{name}` must be in UTF-8.", name)
    return found[1]
