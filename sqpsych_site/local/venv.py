"""Make .venv and install the packages of a requirements file, once and completely.

Run by the system's Python before anything is installed: ``python3 venv.py run|dev``. Only the
standard library, nothing of ours. Says one line when there is something to do.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
FILES = {"run": ["requirements.txt"], "dev": ["requirements.txt", "requirements/dev.txt"]}


def main(purpose: str) -> int:
    """Bring the environment up to date; return the exit status."""
    # The project's directory is the lock: two makes at once take turns.
    handle = os.open(PROJECT, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_current(purpose):
            return 0
        return _install(purpose)
    finally:
        os.close(handle)


def _install(purpose: str) -> int:
    began = time.monotonic()
    _say("installing the Python packages into .venv (about half a minute) ...")
    unfinished = VENV / ".unfinished"
    if unfinished.exists() or not _works():
        shutil.rmtree(VENV, ignore_errors=True)
        _make()
    log = VENV / "install.log"
    unfinished.touch()
    command = [*_pip(), "install", "--disable-pip-version-check", "--no-input"]
    command += ["--progress-bar", "off", "-r", str(PROJECT / FILES[purpose][-1])]
    with log.open("w") as output:
        status = subprocess.call(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=PROJECT
        )
    if status != 0:
        lines = [line for line in log.read_text().splitlines() if line.startswith("ERROR:")]
        why = lines[-1].removeprefix("ERROR:").strip() if lines else f"pip ended with {status}"
        _say(f"The Python packages could not be installed ({why[:300]}): see {log}.")
        return 1
    unfinished.unlink()
    for done, files in FILES.items():
        if purpose in (done, "dev"):
            (VENV / f".installed-{done}").write_text(_fingerprint(files))
    _say(f"installed the Python packages in {time.monotonic() - began:.1f} s")
    return 0


def _is_current(purpose: str) -> bool:
    try:
        noted = (VENV / f".installed-{purpose}").read_text()
    except OSError:
        return False
    return noted == _fingerprint(FILES[purpose]) and PYTHON.exists()


def _works() -> bool:
    try:
        return subprocess.call([str(PYTHON), "-c", ""], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _make() -> None:
    make = [sys.executable, "-m", "venv", str(VENV)]
    if subprocess.run(make, capture_output=True, check=False).returncode == 0:
        return
    # Debian ships Python without ensurepip: the system's own pip fills the environment then.
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    given = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"]
    if subprocess.call(given) != 0:
        _say("pip is missing: install python3-venv (or python3-pip) and start again.")
        raise SystemExit(1)


def _pip() -> list[str]:
    return [str(PYTHON), "-m", "pip"]


def _fingerprint(files: list[str]) -> str:
    content = b"".join((PROJECT / name).read_bytes() for name in files)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
