"""Thoughts that stand in a seal of ours, as their model's protocol has others: the provider would refuse what it did
not give out."""

from proxy.protocols.members import first, joined, members_of, objects_of
from proxy.protocols.translate.seals import PREFIX

SEAL, NOTHING = PREFIX.encode(), frozenset[str]()
INPUT = "input"


def without_ours(rest: bytes) -> bytes:
    """The members of a request without such items."""
    if SEAL not in rest:
        return rest
    body = members_of(b"{%b}" % rest, NOTHING)
    if first(body[INPUT]) != b"[":
        return rest
    kept = [bytes(item) for item in objects_of(body[INPUT]) if not _is_ours(bytes(item))]
    items = b'"input":[%b]' % b",".join(kept)
    others = joined(body, without={INPUT})
    return b"%b,%b" % (others, items) if others else items


def _is_ours(item: bytes) -> bool:
    if SEAL not in item:
        return False
    seal = members_of(item, NOTHING).get("encrypted_content")
    return seal is not None and bytes(seal).startswith(b'"' + SEAL)
