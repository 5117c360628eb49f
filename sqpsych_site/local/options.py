"""What the user asked of ``make run``, read from the environment (and ``.env``) and checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import Places, places

PROJECT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 8000
_NO = frozenset({"0", "no", "false", "off"})


@dataclass(frozen=True)
class Options:
    """The choices of one run; an empty address means: the local service."""

    home: Places
    port: int
    demo: bool
    engine: bool
    vllm_url: str
    database_url: str
    broker_url: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def read_options(environment: Mapping[str, str]) -> Options:
    """Read the options of a run.

    Raises:
        LocalServiceError: a value that cannot be meant; the sentence names the variable.
    """
    engine = environment.get("ENGINE", "").strip().lower()
    if engine not in ("", "none", "local"):
        raise LocalServiceError(
            f"ENGINE={engine} is not known: leave it out for the local model server, say"
            " ENGINE=none for none, or give a server of your own with SQPSYCH_VLLM_URL=..."
        )
    return Options(
        home=places(environment.get("SQPSYCH_DATA_DIR", "").strip() or PROJECT / "var"),
        port=_port(environment.get("PORT", "").strip()),
        demo=environment.get("DEMO", "").strip().lower() not in _NO,
        engine=engine != "none",
        vllm_url=environment.get("SQPSYCH_VLLM_URL", "").strip(),
        database_url=environment.get("DATABASE_URL", "").strip(),
        broker_url=environment.get("CELERY_BROKER_URL", "").strip(),
    )


def child_environment(options: Options) -> dict[str, str]:
    """Return the environment of the web process, the worker and the commands."""
    return {
        **os.environ,
        "SQPSYCH_DATA_DIR": str(options.home.data_dir),
        "DJANGO_SETTINGS_MODULE": "sqpsych_site.settings",
        "PYTHONUNBUFFERED": "1",
        # Threads of one process share two arenas: less memory kept back by the allocator.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
    }


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise LocalServiceError(f"PORT={text} is no port: give a number from 1 to 65535.")
    return int(text)
