"""One vLLM process: how it is started, how it is asked whether it is well, how tests have one."""

import contextlib
import http.client
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqpsych_site.local import machine
from sqpsych_site.local.engine_install import engine_python, model_dir
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import Places, places
from sqpsych_site.local.private import make_places, read_json, write_json
from sqpsych_site.local.processes import Child, start_child

NAME = "model_server"
MODEL = "smollm2"
CONTEXT_LENGTH = 8192
START_SECONDS = 600.0


@dataclass(frozen=True)
class Served:
    """A model server that answers: its address (``.../v1``), its model and its process."""

    url: str
    model: str
    child: Child


def server_command(engine: Path, port: int) -> list[str]:
    """Return the command that serves the demonstration model on a loopback port.

    The ``vllm`` command of the CPU build does not start, the module does in both builds.
    """
    command = [str(engine_python(engine)), "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model_dir(engine)), "--served-model-name", MODEL]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    on_gpu = machine.has_nvidia_gpu()
    dtype = "float32" if not on_gpu and machine.bfloat16_is_slow() else "bfloat16"
    command += ["--max-model-len", str(CONTEXT_LENGTH), "--dtype", dtype, "--enforce-eager"]
    command += ["--enable-prompt-tokens-details", "--disable-fastapi-docs"]
    # No prompt and no address in the log: what passes through is client text.
    command += ["--no-enable-log-requests", "--disable-uvicorn-access-log"]
    if on_gpu:
        command += ["--gpu-memory-utilization", "0.3"]
    return command


def server_environment() -> dict[str, str]:
    """Return the environment of a model server: offline, without telemetry, quiet."""
    # Nothing of ours is passed on: no secret key, no database address.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
        or name.startswith(("VLLM_", "CUDA_", "NVIDIA_"))
    }
    return {
        "VLLM_CPU_KVCACHE_SPACE": str(machine.cache_gigabytes()),
        "VLLM_LOGGING_LEVEL": "WARNING",
        **kept,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }


def start_server(home: Places, engine: Path, port: int) -> Child:
    """Start the process (as a child of this thread); it answers half a minute later."""
    return start_child(
        home,
        NAME,
        server_command(engine, port),
        environment=server_environment(),
        cwd=home.run,
    )


def base_url(port: int) -> str:
    """Return the address that clients use."""
    return f"http://127.0.0.1:{port}/v1"


def is_healthy(port: int, *, seconds: float = 5.0) -> bool | None:
    """Ask /health: True for well, False for broken, None for no answer (starting, or busy)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", "/health")
        with connection.getresponse() as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def free_port(wanted: int = 0) -> int:
    """Return a free loopback port: ``wanted`` if nobody has it, else any."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LocalServiceError("There is no free port on this machine for the model server.")


def noted_port(home: Places) -> int:
    """Return the port of this data directory's model server: chosen once, free now, kept."""
    path = home.run / "model_server_port.json"
    noted = (read_json(path) or {}).get("port", 0)
    port = free_port(noted if isinstance(noted, int) and 0 < noted < 65536 else 0)
    if port != noted:
        write_json(path, {"port": port})
    return port


def wait_until_ready(child: Child, port: int, *, idle: Callable[[], None] = lambda: None) -> None:
    """Wait until the server answers; ``idle`` is called about four times a second.

    Raises:
        LocalServiceError: the process ended, or does not answer in ten minutes.
    """
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if child.ended():
            raise LocalServiceError(f"The model server ended while starting: see {child.log}.")
        if is_healthy(port):
            return
        idle()
        time.sleep(0.25)
    raise LocalServiceError(f"The model server does not answer: see {child.log}.")


@contextlib.contextmanager
def serve(engine: Path, port: int = 0, *, data_dir: Path | None = None) -> Iterator[Served]:
    """Have the demonstration model served inside a ``with`` block (installed beforehand).

    The process id, logs and socket live under ``data_dir``, or in a temporary directory.
    """
    with contextlib.ExitStack() as stack:
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sqpsych-")))
        home = places(data_dir)
        make_places(home)
        chosen = free_port(port)
        child = start_server(home, engine, chosen)
        stack.callback(child.stop, seconds=10)
        wait_until_ready(child, chosen)
        yield Served(base_url(chosen), MODEL, child)
