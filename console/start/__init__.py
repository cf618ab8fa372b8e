"""Settings for agents and SDKs: one text for the page, for docs/agents.md and for the tests that run them."""
