"""What must be done in Django before the pages are served: tables, static files, the demo.

One process for all of it, because starting Django costs more than most of these steps.
``python -m sqpsych_site.local.first_steps demo|no-demo``; ends with status 1 and one sentence.
"""

import contextlib
import hashlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from sqpsych_site.local import screen
from sqpsych_site.local.errors import disk_full_sentence, is_disk_full
from sqpsych_site.local.logs import open_log
from sqpsych_site.local.paths import places
from sqpsych_site.local.private import write_whole


def main(arguments: list[str]) -> int:
    """Run all steps; return the exit status."""
    demo = arguments == ["demo"]
    steps: list[tuple[str, Callable[[], None]]] = [
        ("migrations", _migrate),
        ("static files", _collect_static),
        ("demo" if demo else "preparation", lambda: _prepare(demo=demo)),
    ]
    for name, act in steps:
        try:
            with screen.step(name):
                act()
        except Exception as error:  # noqa: BLE001 - whatever it is becomes one sentence here
            data_dir = places(os.environ["SQPSYCH_DATA_DIR"]).data_dir
            log = data_dir / "log" / "first_steps.log"
            screen.error(_sentence(name, error, data_dir, log))
            with contextlib.suppress(OSError), open_log(log) as file:
                file.write(traceback.format_exc().encode())
            return 1
    return 0


def _sentence(name: str, error: BaseException, data_dir: Path, log: Path) -> str:
    from django.core.management.base import CommandError
    from django.db import OperationalError

    if is_disk_full(error) or "No space left on device" in str(error):
        return disk_full_sentence(data_dir)
    if isinstance(error, CommandError):
        return f"The step '{name}' failed: {error}"
    if isinstance(error, OperationalError):
        first = str(error).strip().splitlines() or ["no reason given"]
        return f"The database does not answer ({first[-1].strip()}): check DATABASE_URL."
    return f"The step '{name}' failed ({type(error).__name__}): see {log}."


def _migrate() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)


def _collect_static() -> None:
    """Collect and compress the static files, but only when one of them changed."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    known = hashlib.sha256(str(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            state = Path(storage.path(path)).stat()
            known.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    if stamp.exists() and stamp.read_text(encoding="ascii") == known.hexdigest():
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    write_whole(stamp, known.hexdigest())


def _prepare(*, demo: bool) -> None:
    from django.core.management import call_command

    call_command("prepare", demo=demo)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
