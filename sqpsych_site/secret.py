"""The secret key of a local installation: made once, kept beside the data, readable by us alone."""

import os
import secrets
from pathlib import Path


def load_secret_key(data_dir: Path) -> str:
    """Return the key in ``data_dir/secret_key``, making it on the first call.

    Two processes may start at once: the first to create the file wins, the other reads it.
    """
    path = data_dir / "secret_key"
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = data_dir / f".secret_key.{os.getpid()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another process was first; its key counts
        finally:
            draft.unlink()
    return path.read_text().strip()
