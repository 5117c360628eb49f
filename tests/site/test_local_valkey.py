"""The local broker: a real Valkey on a socket."""

import os
import signal
import time
from pathlib import Path

import pytest
import redis
from kombu import Connection

from sqpsych_site.local import valkey
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import places


def send(data_dir: Path, text: str) -> None:
    with Connection(valkey.broker_url(data_dir)) as connection:
        queue = connection.SimpleQueue("words")
        queue.put({"word": text})
        queue.close()


def receive(data_dir: Path) -> object:
    with Connection(valkey.broker_url(data_dir)) as connection:
        queue = connection.SimpleQueue("words")
        message = queue.get(timeout=10)
        message.ack()
        queue.close()
        return message.payload


def test_broker_carries_messages_and_keeps_them_over_a_stop(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    assert not valkey.answers(data_dir)
    with valkey.running(data_dir):
        assert valkey.answers(data_dir)
        send(data_dir, "kept")
    assert not valkey.answers(data_dir)
    with valkey.running(data_dir):
        assert receive(data_dir) == {"word": "kept"}


def test_broker_listens_on_no_port_and_is_closed_to_others(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    with valkey.running(data_dir):
        assert places(data_dir).valkey_socket.stat().st_mode & 0o077 == 0
        assert places(data_dir).valkey.stat().st_mode & 0o077 == 0
        with redis.Redis(unix_socket_path=str(places(data_dir).valkey_socket)) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_broker_starts_after_a_kill(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    with valkey.running(data_dir) as child:
        os.kill(child.pid, signal.SIGKILL)
        while not child.ended():
            time.sleep(0.02)
        assert not valkey.answers(data_dir)
    assert places(data_dir).valkey_socket.exists()
    with valkey.running(data_dir):
        assert valkey.answers(data_dir)


def test_broker_sets_an_unreadable_store_aside(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    with valkey.running(data_dir):
        send(data_dir, "lost")
    store = places(data_dir).valkey / "appendonlydir"
    for path in store.iterdir():
        path.write_bytes(b"\xff\x00 no store at all\n")
    said: list[str] = []
    child = valkey.start(data_dir, say=said.append)
    try:
        assert valkey.answers(data_dir)
        assert len(said) == 1
        assert said[0].startswith("The broker could not read its store: it begins empty")
    finally:
        child.stop(seconds=5)


def test_broker_refuses_a_second_one_on_the_same_data(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    with valkey.running(data_dir):
        with pytest.raises(LocalServiceError, match="A broker that is not ours runs on"):
            valkey.start(data_dir)
        assert valkey.answers(data_dir)


def test_broker_works_in_deep_and_oddly_named_directories(tmp_path: Path) -> None:
    data_dir = tmp_path / ("deep, % odd" * 12) / "var"
    with valkey.running(data_dir):
        send(data_dir, "found")
        assert receive(data_dir) == {"word": "found"}
    for left in places(data_dir).valkey_socket.parent.iterdir():
        left.unlink()
    places(data_dir).valkey_socket.parent.rmdir()
