"""The model server's keeper, with a stand-in for vLLM's process; and a server of the user's."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sqpsych_site.local import engine_install, machine, model_server, proc
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.own_server import first_model
from sqpsych_site.local.paths import Places, places
from sqpsych_site.local.private import read_json
from tests.fakes.model_server import FakeModelServer

PROJECT = Path(__file__).resolve().parents[2]
# Called as vLLM's interpreter is; it has a helper in its group, as vLLM has.
STAND_IN = f"""#!/bin/sh
while [ "$1" != --port ]; do shift; done
cd {PROJECT}
sleep 600 &
echo helper $!
exec {sys.executable} -m tests.fakes.model_server --model smollm2 --port "$2"
"""
BROKEN = "#!/bin/sh\nexit 3\n"


@pytest.fixture
def home(tmp_path: Path) -> Places:
    return places(tmp_path / "var")


def engine_with(tmp_path: Path, program: str) -> Path:
    """Make an engine folder that counts as installed."""
    engine = tmp_path / "engine"
    python = engine / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(program)
    python.chmod(0o755)
    kind = engine_install.engine_kind()
    (engine / "installed").write_text(engine_install.packages_fingerprint(kind))
    (engine / "smollm2").mkdir()
    (engine / "smollm2" / "converted").write_text(engine_install.model_fingerprint())
    return engine


def run_module(module: str, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", f"sqpsych_site.local.{module}", *arguments],
        cwd=PROJECT,
        env=os.environ | environment,
    )


@pytest.fixture
def keeper(tmp_path: Path, home: Places) -> Iterator["subprocess.Popen[bytes]"]:
    engine = engine_with(tmp_path, STAND_IN)
    with run_module("engine", "run", str(home.data_dir), SQPSYCH_ENGINE_DIR=str(engine)) as process:
        yield process
        process.terminate()


def wait_for(condition: Callable[[], Any]) -> Any:
    while not (value := condition()):
        time.sleep(0.05)
    return value


def state_of(home: Places) -> dict[str, Any]:
    return read_json(home.run / "model_server.json") or {"state": ""}


def wait_for_state(home: Places, state: str) -> dict[str, Any]:
    wait_for(lambda: state_of(home)["state"] == state)
    return state_of(home)


def server_pid(home: Places) -> int:
    record = wait_for(lambda: read_json(home.run / "model_server.process.json"))
    return int(record["pid"])


def gone(pid: int) -> bool:
    return proc.look_at(pid) is None


def test_keeper_serves_on_loopback_and_ends_with_sigterm(
    keeper: "subprocess.Popen[bytes]", home: Places
) -> None:
    state = wait_for_state(home, "ready")
    assert (state["model"], state["detail"]) == ("smollm2", "")
    assert state["url"].startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{state['url']}/models", timeout=10) as answer:
        assert json.load(answer)["data"][0]["id"] == "smollm2"
    pid = server_pid(home)
    helper = int((home.log / "model_server.log").read_text().split()[1])
    keeper.terminate()
    assert keeper.wait() == 128 + signal.SIGTERM
    assert gone(pid)
    assert gone(helper)
    assert state_of(home)["state"] == "stopped"


def test_keeper_starts_a_killed_server_again_at_the_same_address(
    keeper: "subprocess.Popen[bytes]", home: Places
) -> None:
    first = wait_for_state(home, "ready")
    pid = server_pid(home)
    helper = int((home.log / "model_server.log").read_text().split()[1])
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: state_of(home)["since"] != first["since"])
    again = wait_for_state(home, "ready")
    assert again["url"] == first["url"]
    assert server_pid(home) != pid
    assert gone(helper)
    assert keeper.poll() is None


def test_killed_keeper_takes_its_server_along(
    keeper: "subprocess.Popen[bytes]", home: Places, tmp_path: Path
) -> None:
    first = wait_for_state(home, "ready")
    pid = server_pid(home)
    keeper.kill()
    wait_for(lambda: gone(pid))
    # The helper is still there: the next keeper ends it.
    helper = int((home.log / "model_server.log").read_text().split()[1])
    with run_module(
        "engine", "run", str(home.data_dir), SQPSYCH_ENGINE_DIR=str(tmp_path / "engine")
    ) as other:
        wait_for(lambda: state_of(home)["since"] != first["since"])
        assert wait_for_state(home, "ready")["url"] == first["url"]
        assert gone(helper)
        other.terminate()


def test_keeper_says_that_the_server_cannot_run(tmp_path: Path, home: Places) -> None:
    engine = engine_with(tmp_path, BROKEN)
    with run_module("engine", "run", str(home.data_dir), SQPSYCH_ENGINE_DIR=str(engine)) as process:
        state = wait_for_state(home, "cannot run")
        process.terminate()
    log = home.log / "model_server.log"
    assert state["detail"] == f"The model server ended while starting: see {log}."


def test_install_that_fails_leaves_no_stamp_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    engine = tmp_path / "engine"
    said: list[str] = []
    with pytest.raises(LocalServiceError) as refused:
        engine_install.ensure_installed(engine, said.append)
    assert str(refused.value).startswith("vLLM could not be installed (No matching distribution")
    assert str(refused.value).endswith(f": see {engine / 'install.log'}.")
    assert said == ["installing vLLM in an environment of its own (about 4 GB, some minutes)"]
    assert not (engine / "installed").exists()


def test_install_does_nothing_when_all_is_there(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, BROKEN)
    said: list[str] = []
    kind = engine_install.ensure_installed(engine, said.append)
    assert kind == engine_install.engine_kind()
    assert engine_install.ensure_model(engine, said.append) == engine / "smollm2"
    assert said == []


def test_install_is_done_again_when_its_packages_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_with(tmp_path, BROKEN)
    (engine / "installed").write_text("of other packages")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(LocalServiceError, match="vLLM could not be installed"):
        engine_install.ensure_installed(engine, lambda _text: None)
    assert not (engine / "installed").exists()


def test_run_step_ends_what_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "sleep 600 & echo $!; exit 4"]
    assert engine_install.run_step(command, log) == 4
    assert wait_for(lambda: gone(int(log.read_text())))


def test_server_is_started_offline_and_without_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "never to be passed on")
    monkeypatch.setenv("DATABASE_URL", "postgresql://also/never")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    environment = model_server.server_environment()
    assert environment["HF_HUB_OFFLINE"] == environment["VLLM_NO_USAGE_STATS"] == "1"
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert not {"SECRET_KEY", "DATABASE_URL"} & set(environment)
    command = model_server.server_command(tmp_path, 8111)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert {"--no-enable-log-requests", "--disable-uvicorn-access-log"} <= set(command)


@pytest.mark.parametrize(
    ("processor", "flags", "gpu", "dtype"),
    [
        ("x86_64", {"avx2", "fma"}, False, "float32"),
        ("x86_64", {"avx2", "avx512f"}, False, "float32"),
        ("x86_64", {"avx2", "avx512f", "avx512_bf16"}, False, "bfloat16"),
        ("x86_64", {"avx2", "amx_bf16"}, False, "bfloat16"),
        ("x86_64", {"avx2"}, True, "bfloat16"),
        ("aarch64", set(), False, "bfloat16"),
    ],
)
def test_server_reckons_in_what_the_processor_is_fast_at(
    processor: str,
    flags: set[str],
    gpu: bool,
    dtype: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: processor)
    monkeypatch.setattr(machine, "_processor_flags", lambda: flags)
    monkeypatch.setattr(machine, "has_nvidia_gpu", lambda: gpu)
    command = model_server.server_command(tmp_path, 8111)
    assert command[command.index("--dtype") + 1] == dtype


def test_first_model_asks_the_server() -> None:
    with FakeModelServer(model="their-model") as server:
        assert first_model(server.base_url, "") == "their-model"
        assert first_model(f"{server.base_url}/", "a key") == "their-model"


@pytest.mark.parametrize("url", ["host:8000", "ftp://host/v1", "http://", "file:///etc/passwd"])
def test_first_model_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(LocalServiceError, match="SQPSYCH_VLLM_URL is no address"):
        first_model(url, "")


class Oddity(http.server.BaseHTTPRequestHandler):
    """Answers as its path says."""

    seen: list[str]

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        self.send_response({"moved": 302, "closed": 401, "broken": 500}.get(kind, 200))
        self.send_header("Location", "/other/models")
        self.end_headers()
        type(self).seen.append(self.path)
        self.wfile.write({"html": b"<html>", "none": b'{"data": []}'}.get(kind, b"[]"))

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("moved", "the server answered 302 to /models"),
        ("closed", "the server wants another key: check SQPSYCH_VLLM_API_KEY"),
        ("broken", "the server answered 500 to /models"),
        ("html", "the server's list of models cannot be read"),
        ("none", "the server's list of models cannot be read"),
        ("list", "the server's list of models cannot be read"),
    ],
)
def test_first_model_says_what_is_wrong_with_the_answer(kind: str, sentence: str) -> None:
    Oddity.seen = []
    with http.server.HTTPServer(("127.0.0.1", 0), Oddity) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(LocalServiceError) as refused:
            first_model(f"http://127.0.0.1:{server.server_port}/{kind}", "secret")
        server.shutdown()
        thread.join()
    assert str(refused.value) == sentence
    # A redirect is never followed: the key would travel with it.
    assert Oddity.seen == [f"/{kind}/models"]


def test_own_server_is_waited_for(tmp_path: Path, home: Places) -> None:
    port = model_server.free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with run_module(
        "own_server", str(home.data_dir), SQPSYCH_VLLM_URL=url, SQPSYCH_MODEL=""
    ) as process:
        assert wait_for_state(home, "stopped")["model"] == ""
        with FakeModelServer(model="their-model", port=port):
            assert process.wait() == 0
    state = state_of(home)
    assert (state["state"], state["url"], state["model"]) == ("ready", url, "their-model")


def test_noted_port_is_kept_while_it_is_free(home: Places) -> None:
    home.run.mkdir(parents=True)
    port = model_server.noted_port(home)
    assert model_server.noted_port(home) == port
    with FakeModelServer(model="other", port=port):
        assert model_server.noted_port(home) != port
    shutil.rmtree(home.run)
