"""Thoughts that we sealed, as their model's protocol has no signatures: the provider would refuse them as forged."""

from proxy.protocols.members import first, joined, members_of, objects_of
from proxy.protocols.translate.seals import PREFIX

SEAL = PREFIX.encode()
NOTHING = frozenset[str]()
CONTENT, MESSAGES = "content", "messages"


def without_ours(rest: bytes) -> bytes:
    """The members of a request without such thoughts, and without messages that held nothing else."""
    if SEAL not in rest:
        return rest
    try:
        return _without_ours(rest)
    except (KeyError, ValueError):
        return rest  # what cannot be read for sure goes on as it came


def _without_ours(rest: bytes) -> bytes:
    body = members_of(b"{%b}" % rest, NOTHING)
    kept = [bytes(raw) if SEAL not in bytes(raw) else _message(bytes(raw)) for raw in objects_of(body[MESSAGES])]
    messages = b'"messages":[%b]' % b",".join([message for message in kept if message])
    others = joined(body, without={MESSAGES})
    return b"%b,%b" % (others, messages) if others else messages


def _message(raw: bytes) -> bytes:
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
