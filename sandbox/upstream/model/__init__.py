"""What the protocols share: what the model answers, and what it takes back."""
