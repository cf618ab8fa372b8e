"""Thoughts that we sealed, as their model's protocol has no signatures: the provider would refuse them as forged."""

from proxy.protocols.members import first, joined, members_of, objects_of, with_list
from proxy.protocols.translate.seals import PREFIX

SEAL = PREFIX.encode()
NOTHING = frozenset[str]()
CONTENT = "content"


def without_ours(rest: bytes) -> bytes:
    """The members of a request without such thoughts, and without messages that held nothing else."""
    if SEAL not in rest:
        return rest
    try:
        return with_list(rest, "messages", _message)
    except (KeyError, ValueError):
        return rest  # what cannot be read for sure goes on as it came


def _message(raw: bytes) -> bytes:
    if SEAL not in raw:
        return raw
    message = members_of(raw, NOTHING)
    if first(message[CONTENT]) != b"[":
        return raw
    blocks = [bytes(block) for block in objects_of(message[CONTENT])]
    kept = [block for block in blocks if SEAL not in block or not _is_ours(block)]
    content = b'"content":[%b]' % b",".join(kept)
    return b"{%b,%b}" % (joined(message, without={CONTENT}), content) if kept else b""


def _is_ours(block: bytes) -> bool:
    members = members_of(block, NOTHING)
    seal = members.get("signature") or members.get("data")
    return seal is not None and bytes(seal).startswith(b'"' + SEAL)
