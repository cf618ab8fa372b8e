"""A request to Messages as Anthropic counts its tokens, for nothing, before it is held for."""

from dataclasses import replace

from proxy.models import Kind
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.anthropic.messages.asked import outgoing
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.base import Habits
from proxy.protocols.endpoint import Sending
from proxy.protocols.members import joined, members_of

PATH = "/messages/count_tokens"
UNCOUNTED = frozenset({"metadata", "stop_sequences", "stream", "temperature", "top_k", "top_p"})
"""Members of a request that its count does not take."""


class PromptCount:
    """Others than Anthropic may bill by another tokenizer than they count by."""

    kinds = frozenset({Kind.ANTHROPIC.value})

    def request(self, call: MessagesCall, destination: Destination) -> Sending:
        rest = joined(members_of(b"{%b}" % call.rest, frozenset()), without=UNCOUNTED)
        counted = replace(call, rest=rest)
        return outgoing.sending(counted, destination, path=PATH, output_limit=None, habits=Habits())

    def tokens(self, body: bytes) -> int:
        answer = lossless.load(body)
        count = answer.get("input_tokens") if isinstance(answer, dict) else None
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ValueError("not a count")
        return count
