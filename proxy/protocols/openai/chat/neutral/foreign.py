"""What a model of another protocol thought, in a request that goes to OpenAI's own kind of upstream this time."""

from proxy.protocols.members import joined, members_of, objects_of

THOUGHTS = frozenset({"reasoning_content", "reasoning_details"})
NOTHING = frozenset[str]()
MARK = b'"reasoning_'


def without_thoughts(rest: bytes) -> bytes:
    """The members of a request without the thoughts in its messages, which such an upstream refuses."""
    if MARK not in rest:
        return rest
    try:
        return _without_thoughts(rest)
    except (KeyError, ValueError):
        return rest  # what cannot be read for sure goes on as it came


def _without_thoughts(rest: bytes) -> bytes:
    body = members_of(b"{%b}" % rest, NOTHING)
    kept = [bytes(raw) if MARK not in bytes(raw) else _message(bytes(raw)) for raw in objects_of(body["messages"])]
    others = joined(body, without={"messages"})
    messages = b'"messages":[%b]' % b",".join(kept)
    return b"%b,%b" % (others, messages) if others else messages


def _message(raw: bytes) -> bytes:
    return b"{%b}" % joined(members_of(raw, NOTHING), without=THOUGHTS)
