"""Places of the local services: pure, short enough for a socket, readable for both clients."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqpsych_site.local import postgres, valkey
from sqpsych_site.local.paths import places

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=80
).filter(lambda name: name not in (".", ".."))


def test_places_are_under_the_data_directory() -> None:
    home = places("/srv/sqpsych/var")
    assert home.postgres_socket_dir == Path("/srv/sqpsych/var/postgres")
    assert home.valkey_socket == Path("/srv/sqpsych/var/valkey/valkey.sock")
    assert home.run == Path("/srv/sqpsych/var/run")
    assert home.log == Path("/srv/sqpsych/var/log")


def test_places_are_the_same_by_link_and_by_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "var")
    monkeypatch.chdir(tmp_path)
    assert places("link") == places("var") == places(tmp_path / "var")


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_places_give_sockets_that_every_client_finds(names: list[str]) -> None:
    data_dir = Path("/nowhere", *names)
    home = places(data_dir)
    for socket in (home.postgres_socket_dir / ".s.PGSQL.5432", home.valkey_socket):
        assert len(os.fsencode(socket)) < 100
    parsed = psycopg.conninfo.conninfo_to_dict(postgres.database_url(data_dir))
    assert parsed == {
        "user": "sqpsych",
        "dbname": "sqpsych",
        "host": str(home.postgres_socket_dir),
    }
    broker = urlsplit(valkey.broker_url(data_dir))
    assert (broker.scheme, broker.netloc, broker.query) == ("redis+socket", "", "")
    assert unquote(broker.path) == str(home.valkey_socket)


def test_places_of_deep_directories_differ() -> None:
    one, other = places("/srv/" + "x" * 120), places("/srv/" + "x" * 121)
    assert one.postgres_socket_dir != other.postgres_socket_dir
    assert one.postgres_socket_dir != one.valkey_socket.parent
    assert one.postgres_socket_dir.parent == Path("/", "tmp")


def test_addresses_touch_no_disk(tmp_path: Path) -> None:
    postgres.database_url(tmp_path / "var")
    valkey.broker_url(tmp_path / "var")
    assert list(tmp_path.iterdir()) == []
