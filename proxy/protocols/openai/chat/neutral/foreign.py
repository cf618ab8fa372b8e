"""What a model of another protocol thought, in a request that goes to OpenAI's own kind of upstream this time."""

from proxy.protocols.members import joined, members_of, with_list

THOUGHTS = frozenset({"reasoning_content", "reasoning_details"})
NOTHING = frozenset[str]()
MARK = b'"reasoning_'


def without_thoughts(rest: bytes) -> bytes:
    """The members of a request without the thoughts in its messages, which such an upstream refuses."""
    if MARK not in rest:
        return rest
    try:
        return with_list(rest, "messages", _message)
    except (KeyError, ValueError):
        return rest  # what cannot be read for sure goes on as it came


def _message(raw: bytes) -> bytes:
    return raw if MARK not in raw else b"{%b}" % joined(members_of(raw, NOTHING), without=THOUGHTS)
