"""A language model behind OpenAI's protocol: deterministic answers, honest usage, and faults by name."""
