"""How much of uploads a process keeps at once: of everybody, and of one customer."""

from collections import Counter

from proxy.errors import Refusal

MOST_OF_CUSTOMER = 8
"""Uploads at once in a process."""
WAIT = {"Retry-After": "2"}


class UploadBudget:
    """Bytes on disk, `most` in all and `most_of_customer` of each."""

    def __init__(self, *, most: int, most_of_customer: int) -> None:
        self.left = most
        self._most_of_customer = most_of_customer
        self._bytes: Counter[int] = Counter()
        self._uploads: Counter[int] = Counter()

    def begin(self, customer_id: int) -> "Share":
        """Raises `Refusal` 429 where the customer has too many already."""
        if self._uploads[customer_id] >= MOST_OF_CUSTOMER:
            words = f"At most {MOST_OF_CUSTOMER} uploads of a customer are taken at once."
            raise Refusal(429, "rate_limit_exceeded", words, headers=WAIT)
        self._uploads[customer_id] += 1
        return Share(self, customer_id)

    def take(self, customer_id: int, size: int) -> None:
        if size > self.left:
            words = "The gateway has no room for this upload at the moment. Try again."
            raise Refusal(503, "provider_unavailable", words, headers=WAIT)
        if self._bytes[customer_id] + size > self._most_of_customer:
            words = f"The uploads of a customer may have at most {self._most_of_customer} bytes at once."
            raise Refusal(429, "rate_limit_exceeded", words, headers=WAIT)
        self.left -= size
        self._bytes[customer_id] += size

    def end(self, customer_id: int, size: int) -> None:
        self.left += size
        for counts, less in ((self._bytes, size), (self._uploads, 1)):
            counts[customer_id] -= less
            if not counts[customer_id]:
                del counts[customer_id]


class Share:
    """One upload's."""

    def __init__(self, budget: UploadBudget, customer_id: int) -> None:
        self._budget = budget
        self._customer_id = customer_id
        self._taken = 0

    def take(self, size: int) -> None:
        """Have room for that many bytes in all. Raises `Refusal` 429 or 503."""
        if size > self._taken:
            self._budget.take(self._customer_id, size - self._taken)
            self._taken = size

    def give_back(self) -> None:
        self._budget.end(self._customer_id, self._taken)
        self._taken = 0
