"""A process whose clock is wrong by `CLOCK_SKEW_SECONDS`; for subprocesses of tests alone, by their PYTHONPATH."""

import datetime
import os
import time
from typing import Any

skew = float(os.environ.get("CLOCK_SKEW_SECONDS", "0"))
real, seconds, nanoseconds = datetime.datetime, time.time, time.time_ns


class Kind(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, real)


class Skewed(real, metaclass=Kind):
    def __new__(cls, *given: Any, **named: Any) -> Any:
        return real(*given, **named)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return real.now(tz) + datetime.timedelta(seconds=skew)

    @classmethod
    def utcnow(cls) -> Any:
        return real.utcnow() + datetime.timedelta(seconds=skew)


if skew:
    time.time = lambda: seconds() + skew
    time.time_ns = lambda: nanoseconds() + int(skew * 10**9)
    datetime.datetime = Skewed  # type: ignore[misc]
