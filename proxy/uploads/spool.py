"""What is too large for memory: a file without a name on disk, gone with whoever has it open, killed or not."""

import os
import tempfile
from threading import Lock

from core.records import value


class Spool:
    """One request's. It is read while other requests write theirs; nothing is read of it once it is closed."""

    def __init__(self, folder: str | None) -> None:
        """In the system's folder for such files where none is named. Raises `OSError`."""
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._lock = Lock()
        """The number of a closed file may be another request's by now."""

    def write(self, data: bytes | bytearray) -> None:
        """Put it at the end. Raises `OSError` where the disk is full."""
        view = memoryview(data)
        with self._lock:
            while view:
                view = view[self._file.write(view) :]

    def read(self, offset: int, size: int) -> bytes:
        """Raises `OSError` where it is closed, or shorter."""
        with self._lock:
            if self._file.closed:
                raise OSError("the request is over")
            data = os.pread(self._file.fileno(), size, offset)
        if not data and size:
            raise OSError("the spool is shorter than what was read of the request")
        return data

    def duplicate(self) -> int:
        """A descriptor of one's own, for another process; the caller closes it. Raises `OSError`."""
        with self._lock:
            if self._file.closed:
                raise OSError("the request is over")
            return os.dup(self._file.fileno())

    def close(self) -> None:
        with self._lock:
            self._file.close()


@value
class Stored:
    """Bytes of a spool."""

    spool: Spool
    offset: int
    size: int

    def __len__(self) -> int:
        return self.size

    def read(self, at: int, most: int) -> bytes:
        """Up to so many bytes of it, from its byte `at` on."""
        return self.spool.read(self.offset + at, min(most, self.size - at))
