"""Django's commands; the local database is started for them if need be, and stopped after."""

import contextlib
import os
import signal
import sys
from typing import NoReturn

# These never ask the database anything.
WITHOUT_DATABASE = frozenset(
    {"help", "version", "--help", "-h", "--version", "check", "collectstatic", "diffsettings"}
)


def main(arguments: list[str]) -> int:
    """Run one command; return the exit status. Known errors are one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sqpsych_site.settings")
    try:
        import django.db
    except ImportError:
        return _fail("Django is not installed here: run 'make venv', then .venv/bin/python.")
    from sqpsych_site.local.errors import LocalServiceError

    signal.signal(signal.SIGTERM, _leave)
    try:
        with contextlib.ExitStack() as stack:
            if _needs_local_database(arguments):
                _start_database(stack)
            from django.core.management import execute_from_command_line

            execute_from_command_line(arguments)
    except LocalServiceError as error:
        return _fail(str(error))
    except django.db.OperationalError as error:
        return _fail(f"The database does not answer: {_first_line(error)}")
    except django.db.ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", "") != "42P01":
            raise
        return _fail("The database has no tables yet: run 'manage.py migrate' or 'make run' first.")
    except KeyboardInterrupt:
        return _fail("Stopped.", status=130)
    return 0


def _needs_local_database(arguments: list[str]) -> bool:
    if len(arguments) < 2 or arguments[1] in WITHOUT_DATABASE or "--help" in arguments[2:]:
        return False
    from django.conf import settings

    from sqpsych_site.local import postgres

    return bool(postgres.database_url(settings.DATA_DIR) == settings.DATABASE_URL)


def _start_database(stack: contextlib.ExitStack) -> None:
    from django.conf import settings

    from sqpsych_site.local import postgres

    stack.enter_context(postgres.database_in_use(settings.DATA_DIR, say=_say))
    # Connections are closed before the last user stops the server.
    from django.db import connections

    stack.callback(connections.close_all)


def _leave(number: int, _frame: object) -> NoReturn:
    # An ordinary exit: the local database is left as orderly as at the end of a command.
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(text: str, *, status: int = 1) -> int:
    _say(text)
    return status


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
