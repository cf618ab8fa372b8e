"""What accounts tells the apps above it, sent inside the transaction that makes it true."""

from django.dispatch import Signal

key_refused = Signal()
"""Sent outside any transaction with `request`, `key` (None: unknown) and `why` when the account API refuses a key."""

customer_created = Signal()
"""Sent with `customer` when a customer is opened; billing opens the wallet."""

people_change = Signal()
"""Sent with `customer_id` in the transaction of an act on an account's people, before anything of it is locked; billing
locks the wallet, which comes first."""

invitation_made = Signal()
"""Sent with `invitation`, its `token`, which is kept nowhere, and `now`; the address is written to."""

invitation_ended = Signal()
"""Sent with `invitation` and `now` when it was taken back or declined, under the account's lock."""

member_changed = Signal()
"""Sent with `member`, `what` (joined, added, role, left, removed), `by` (None: the operator) and `now`, under the
account's lock but for what staff do; of one who left or was removed, `member` is no longer there."""

welcome_due = Signal()
"""Sent with `customer` and `now` when a confirmed address has earned the welcome credit; billing grants it."""

key_made = Signal()
"""Sent with `key` and `now` when a key is made; the outbox is told."""

key_ended = Signal()
"""Sent with `key` and `now` when a key is over for good: deleted, or its time is up. Under the key's lock."""

customer_suspended = Signal()
"""Sent with `customer` and `now` when a customer may not spend any more. Under the customer's lock."""
