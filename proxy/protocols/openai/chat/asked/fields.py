"""The fields of a chat completion that we read or set."""

LIMITS = ("max_completion_tokens", "max_tokens")
OURS = frozenset({"model", "stream_options", "service_tier", *LIMITS})
"""Written anew by us; the rest of the body goes upstream as it came."""
READ = frozenset(
    {
        *OURS,
        *("stream", "n", "messages", "tools", "functions", "modalities", "prediction"),
        *("web_search_options", "search_parameters", "audio", "metadata"),
    }
)
