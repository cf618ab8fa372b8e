"""Where local state lives, what is kept secret in it, and who may use it at a time."""

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

BASE_DIR = Path(__file__).resolve().parent.parent.parent


class LocalError(Exception):
    """A local service cannot start; the text is a sentence for the person at the terminal."""


def not_installed(package: str) -> str:
    """What to do about a package that production does without."""
    return f"The package {package} is not installed: `make run` does it, or pip install -r requirements-local.txt."


def state_dir(environ: Mapping[str, str]) -> Path:
    """`.local/` beside the code, or CHUIZI_STATE_DIR; made if missing."""
    folder = Path(environ.get("CHUIZI_STATE_DIR") or BASE_DIR / ".local").absolute()
    # As root, PostgreSQL's user must be able to walk through to its own folder.
    return make_folder(folder, mode=0o711 if os.geteuid() == 0 else 0o700)


def make_folder(folder: Path, *, mode: int = 0o700) -> Path:
    """The folder, made with this mode if it was missing; one that stands is left as it is."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(mode)
    except OSError as error:
        raise LocalError(f"The folder {folder} cannot be made: {error.strerror}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LocalError(f"The folder {folder} belongs to another user. Remove it, or set CHUIZI_STATE_DIR.")
    return folder


def digest(folder: Path) -> str:
    """Ten hex characters that stand for a state folder in names elsewhere on the machine."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:10]


def runtime_path(state: Path) -> Path:
    """A short path for sockets, whose paths end at 104 bytes on macOS and 108 on Linux."""
    return Path(f"/tmp/chuizi-{os.geteuid()}-{digest(state)}")  # noqa: S108  runtime_dir checks that it is ours


def runtime_dir(state: Path) -> Path:
    """The folder at `runtime_path`; raise `LocalError` if somebody else has taken the name."""
    folder = runtime_path(state)
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise LocalError(f"{folder} is not ours, though its name says so. Remove it and try again.") from None
    folder.chmod(mode)
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.replace(path)


def kept(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """The text in this file; made and written, private, the first time."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = make()
        write_private(path, text)
        return text
    except PermissionError:
        raise LocalError(f"{path} belongs to another user. Run as that user, or set CHUIZI_STATE_DIR.") from None


class Claim:
    """The right to run services on a state folder: a POSIX lock, which dies with its process and is not inherited."""

    def __init__(self, state: Path) -> None:
        self.path = state / "running.pid"
        self._file: IO[str] | None = None

    def take(self, *, seconds: float = 0) -> int | None:
        """None once the claim is ours; the holder's process id if it still holds after so many seconds."""
        try:
            file = open(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")  # noqa: SIM115
        except PermissionError:
            raise LocalError(
                f"{self.path} belongs to another user. Set CHUIZI_STATE_DIR to a folder of yours."
            ) from None
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
            if time.monotonic() >= deadline:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                return int(holder) if holder.isdigit() else -1
            time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return None

    def give_back(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
