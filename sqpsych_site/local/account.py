"""The system account that PostgreSQL runs under when we are root (it refuses to run as root)."""

import os
import pwd
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from sqpsych_site.local.errors import LocalServiceError

ACCOUNT_NAME = "sqpsych"
Say = Callable[[str], None]


class RunAs(TypedDict, total=False):
    """The arguments of subprocess that choose the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """Who runs the database: ourselves, or as root a system account."""

    uid: int
    gid: int

    @property
    def is_ourselves(self) -> bool:
        return self.uid == os.geteuid()

    def run_as(self) -> RunAs:
        """Return what to hand to subprocess so that a program runs under this account."""
        if self.is_ourselves:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_run(self, program: Path) -> bool:
        """Tell, by trying it, whether the account can run ``program --version``."""
        return self._succeeds(str(program), "--version")

    def can_enter(self, directory: Path) -> bool:
        """Tell, by trying it, whether the account can pass through ``directory``."""
        return self._succeeds("test", "-x", str(directory))

    def _succeeds(self, *command: str) -> bool:
        try:
            done = subprocess.run(
                command, cwd="/", capture_output=True, check=False, timeout=30, **self.run_as()
            )
        except OSError:
            return False
        return done.returncode == 0


def database_account(say: Say) -> Account:
    """Return the account for the database, making the system account once if we are root.

    Raises:
        LocalServiceError: we are root and the account cannot be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    found = _look_up()
    if found is None:
        _make(say)
        found = _look_up()
    if found is None:
        raise LocalServiceError(
            f"PostgreSQL does not run as root and the system account '{ACCOUNT_NAME}' could not be"
            " made: run SQPsych as an ordinary user, or make the account with"
            f" 'useradd --system --no-create-home {ACCOUNT_NAME}'."
        )
    return found


def _look_up() -> Account | None:
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _make(say: Say) -> None:
    say(
        f"PostgreSQL does not run as root: making the system account '{ACCOUNT_NAME}'"
        " (no login, no home) for it."
    )
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    try:
        subprocess.run(command, capture_output=True, check=False, timeout=60)
    except OSError:
        return
