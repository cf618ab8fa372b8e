"""Thoughts that stand in a seal of ours, as their model's protocol has others: the provider would refuse what it did
not give out."""

from proxy.protocols.members import members_of, with_list
from proxy.protocols.translate.seals import PREFIX

SEAL, NOTHING = PREFIX.encode(), frozenset[str]()


def without_ours(rest: bytes) -> bytes:
    """The members of a request without such items."""
    if SEAL not in rest:
        return rest
    return with_list(rest, "input", lambda item: b"" if _is_ours(item) else item)


def _is_ours(item: bytes) -> bool:
    if SEAL not in item:
        return False
    seal = members_of(item, NOTHING).get("encrypted_content")
    return seal is not None and bytes(seal).startswith(b'"' + SEAL)
