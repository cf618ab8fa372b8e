"""The fields of a request to Messages: those that we read or set, and those that no caller may set."""

from collections.abc import Iterable

from proxy.protocols.base import BadRequest
from proxy.protocols.steering import folded, is_steering

OURS = frozenset({"model", "max_tokens", "service_tier"})
"""Written anew by us; the rest of the body goes upstream as it came."""
READ = frozenset(
    {
        *OURS,
        *("stream", "system", "messages", "tools", "tool_choice", "thinking", "context_management", "compaction"),
        *("speed", "inference_geo"),
    }
)
STORED = frozenset({"container", "mcp_servers", "thread", "diagnostics", "fallback_credit_token"})
"""What refers to things that an account keeps, or has other servers called."""
ACCOUNTS = frozenset({"billing_policy", "user_profile_id", "workspace_id", "fallbacks", "n", "anthropic_beta", "betas"})
"""What says who pays, which model answers and how often, and betas that are not in the header."""
REFUSED = frozenset(map(folded, STORED | ACCOUNTS))
DEFAULTS = {"speed": "standard", "inference_geo": "global"}
"""Other values are sold at other rates. Unasked the speed is the usual one; where it runs the account has set."""
LONGEST_TERM = 20


def refuse_fields(names: Iterable[str]) -> None:
    """Raise `BadRequest` naming a field that would make an upstream do or charge something else."""
    for name in names:
        if name not in READ and (folded(name) in REFUSED or is_steering(name, READ)):
            raise BadRequest(f"`{name[:100]}` is not on offer here.", param=name[:100])
