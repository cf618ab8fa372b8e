"""What billing tells the apps above it, sent inside the transaction that makes it true."""

from django.dispatch import Signal

entry_posted = Signal()
"""Sent with `entry`, `by` and `now` when a journal entry is posted; what it resolves is closed, or it is refused."""

entry_refused = Signal()
"""Sent with `entry` when a journal entry is refused or taken back."""
