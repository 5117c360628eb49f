"""What ``make run`` reads, and what it says when it cannot begin."""

import os
import socket
from pathlib import Path

import pytest

from sqpsych_site.local import machine
from sqpsych_site.local.checks import check_disk, check_port, only_one
from sqpsych_site.local.errors import LocalServiceError, disk_full_sentence, is_disk_full
from sqpsych_site.local.options import PROJECT, Options, child_environment, read_options
from sqpsych_site.local.private import make_places, read_json


def test_options_have_defaults_for_everything() -> None:
    options = read_options({})
    assert options.home.data_dir == PROJECT / "var"
    assert (options.port, options.demo, options.engine) == (8000, True, True)
    assert (options.vllm_url, options.database_url, options.broker_url) == ("", "", "")
    assert options.address == "http://127.0.0.1:8000"


def test_options_are_read_from_the_environment(tmp_path: Path) -> None:
    options = read_options(
        {
            "SQPSYCH_DATA_DIR": str(tmp_path),
            "PORT": "8123",
            "DEMO": "0",
            "ENGINE": "none",
            "SQPSYCH_VLLM_URL": " http://10.0.0.1:8000/v1 ",
            "DATABASE_URL": "postgresql://db/one",
            "CELERY_BROKER_URL": "amqp://mq",
        }
    )
    assert options.home.data_dir == tmp_path
    assert (options.port, options.demo, options.engine) == (8123, False, False)
    assert options.vllm_url == "http://10.0.0.1:8000/v1"
    assert options.database_url == "postgresql://db/one"
    assert options.broker_url == "amqp://mq"
    assert child_environment(options)["SQPSYCH_DATA_DIR"] == str(tmp_path)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "8000 ", "８０"])
def test_options_refuse_what_is_no_port(port: str) -> None:
    if port.strip() == "8000":
        assert read_options({"PORT": port}).port == 8000
        return
    with pytest.raises(LocalServiceError, match=f"PORT={port} is no port: give a number from 1"):
        read_options({"PORT": port})


def test_options_refuse_an_unknown_engine() -> None:
    with pytest.raises(LocalServiceError, match="ENGINE=gpu is not known"):
        read_options({"ENGINE": "gpu"})


@pytest.fixture
def options(tmp_path: Path) -> Options:
    made = read_options({"SQPSYCH_DATA_DIR": str(tmp_path / "var"), "PORT": "8765"})
    make_places(made.home)
    return made


def test_only_one_supervisor_has_a_data_directory(options: Options) -> None:
    with only_one(options):
        with (
            pytest.raises(LocalServiceError) as refused,
            only_one(options),
        ):
            pass
        assert str(refused.value) == (
            f"SQPsych runs already on {options.home.data_dir} (process {os.getpid()},"
            " http://127.0.0.1:8765): use that one, or stop it with Ctrl-C in its terminal"
            f" or with 'kill {os.getpid()}'."
        )
    with only_one(options):
        assert read_json(options.home.run / "supervisor.json") == {
            "pid": os.getpid(),
            "url": "http://127.0.0.1:8765",
        }


def test_check_port_names_the_port_and_another_one() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(LocalServiceError) as refused:
            check_port(port)
        assert str(refused.value) == (
            f"Port {port} is taken by another program: stop that one, or choose another port"
            f" with 'make run PORT={port + 1 if port < 65535 else 8000}'."
        )
    check_port(port)


def test_check_disk_says_how_much_is_free(tmp_path: Path) -> None:
    check_disk(tmp_path, needed=1)
    with pytest.raises(LocalServiceError, match=r"is nearly full \(\d+ MB free\): make room for"):
        check_disk(tmp_path / "not" / "there", needed=2**60)


def test_disk_full_is_told_from_other_errors(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError) as error:
        full.write(b"x")
    assert is_disk_full(error.value)
    assert not is_disk_full(FileNotFoundError())
    assert disk_full_sentence(tmp_path) == (
        f"The disk that holds {tmp_path} is full: make room there and start again."
    )


def test_machine_tells_memory_and_disk(tmp_path: Path) -> None:
    assert machine.free_memory() > 0
    assert machine.free_disk(tmp_path / "not" / "there") == machine.free_disk(tmp_path)
    assert machine.cache_gigabytes() in (1, 2, 4)
    assert machine.too_little_disk("cpu", tmp_path) in (
        None,
        f"installing it needs 6 GB of disk at {tmp_path} and"
        f" {machine.free_disk(tmp_path) / machine.GIB:.1f} GB are free",
    )
