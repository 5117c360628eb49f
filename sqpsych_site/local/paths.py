"""Where each local service keeps its things under the data directory. Pure: touches no disk."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

# A Unix socket's address holds 108 bytes with its closing zero; stay well below. Commas part
# hosts for PostgreSQL's library, and other signs mean something in an address for Celery.
_SOCKET_PATH = re.compile(r"[A-Za-z0-9/._+-]{1,99}")
POSTGRES_PORT = 5432
POSTGRES_SOCKET = f".s.PGSQL.{POSTGRES_PORT}"
VALKEY_SOCKET = "valkey.sock"


@dataclass(frozen=True)
class Places:
    """All places of one data directory; services with the same one are the same installation."""

    data_dir: Path

    @property
    def postgres(self) -> Path:
        """The database's home: a private directory, or a link to one that its account can reach."""
        return self.data_dir / "postgres"

    @property
    def valkey(self) -> Path:
        return self.data_dir / "valkey"

    @property
    def run(self) -> Path:
        """Process ids, locks and states: nothing here outlives its meaning."""
        return self.data_dir / "run"

    @property
    def log(self) -> Path:
        return self.data_dir / "log"

    @property
    def postgres_socket_dir(self) -> Path:
        """Where PostgreSQL listens: its home, or a short place if that is deep or oddly named."""
        return self._socket_dir(self.postgres, POSTGRES_SOCKET, "database")

    @property
    def valkey_socket(self) -> Path:
        return self._socket_dir(self.valkey, VALKEY_SOCKET, "broker") / VALKEY_SOCKET

    def _socket_dir(self, home: Path, socket_name: str, purpose: str) -> Path:
        if _SOCKET_PATH.fullmatch(str(home / socket_name)):
            return home
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        # The name can be guessed, so whoever makes it checks owner and mode before use.
        return Path(os.sep, "tmp", f"sqpsych-{os.geteuid()}-{digest}-{purpose}")


def places(data_dir: Path | str) -> Places:
    """Return the places under ``data_dir``; relative paths and links give the same places."""
    return Places(Path(os.path.realpath(data_dir)))
