"""Python's collector of cycles and the C library's allocator, told what a server's memory looks like."""

import ctypes
import gc

MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's mallopt(3)."""
LARGE_BLOCK = 262_144
NEW_OBJECTS, OF_YOUNG, OF_MIDDLE = 20_000, 20, 50


def look_rarely() -> None:
    """Look at new objects less often.

    With the defaults every few hundred objects start a collection, and now and then one walks through all of Django:
    80 ms in which a gateway answers nobody, and a sixth of a process's start.
    """
    gc.set_threshold(NEW_OBJECTS, OF_YOUNG, OF_MIDDLE)


def leave_alone() -> None:
    """What start-up made stays: no collection looks at it again."""
    gc.collect()
    gc.freeze()


def give_back_at_once() -> None:
    """Let the system have large blocks back as soon as they are freed.

    By default glibc puts up to 32 MB where small things are, once it has seen one such block freed: five large bodies
    that grow side by side leave twice their size behind. Other C libraries have no such switch, or no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BLOCK)
