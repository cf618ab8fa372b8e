"""How upstreams do: counted by gateway processes, kept by the minute, shown to staff."""
