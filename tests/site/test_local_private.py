"""Private directories and whole files."""

import os
import stat
from pathlib import Path

import pytest

from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import places
from sqpsych_site.local.private import (
    make_places,
    make_private,
    open_lock,
    read_json,
    try_lock,
    write_json,
    write_whole,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_make_private_makes_a_closed_directory_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make_private(tmp_path / "mine")
    finally:
        os.umask(before)
    assert mode_of(made) == 0o700


def test_make_private_refuses_what_others_can_enter(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(LocalServiceError, match="is open to other users: close it with 'chmod 700"):
        make_private(tmp_path / "open")
    assert mode_of(tmp_path / "open") == 0o755


def test_make_private_refuses_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(LocalServiceError, match="is not a directory"):
        make_private(tmp_path / "link")


def test_make_private_refuses_what_belongs_to_another(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    with pytest.raises(LocalServiceError, match="belongs to another user"):
        make_private(tmp_path / "mine", uid=os.geteuid() + 1)


def test_make_places_leaves_parents_alone(tmp_path: Path) -> None:
    parent = tmp_path / "closed"
    parent.mkdir(mode=0o700)
    before = [path.stat() for path in (tmp_path, parent)]
    make_places(places(parent / "var"))
    after = [path.stat() for path in (tmp_path, parent)]
    assert [(one.st_mode, one.st_uid) for one in before] == [
        (one.st_mode, one.st_uid) for one in after
    ]
    assert mode_of(parent / "var" / "run") == mode_of(parent / "var" / "log") == 0o700
    assert mode_of(parent / "var") & 0o066 == 0


def test_write_whole_replaces_and_leaves_no_draft(tmp_path: Path) -> None:
    write_whole(tmp_path / "state", "old")
    write_whole(tmp_path / "state", "new")
    assert (tmp_path / "state").read_text() == "new"
    assert mode_of(tmp_path / "state") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_read_json_takes_only_a_whole_object(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_json(path) is None
    path.write_text('{"half": ')
    assert read_json(path) is None
    path.write_text("[1]")
    assert read_json(path) is None
    write_json(path, {"state": "ready"})
    assert read_json(path) == {"state": "ready"}


def test_try_lock_admits_one_writer_or_many_readers(tmp_path: Path) -> None:
    handles = [open_lock(tmp_path / "lock") for _ in range(3)]
    try:
        assert try_lock(handles[0], shared=True)
        assert try_lock(handles[1], shared=True)
        assert not try_lock(handles[2])
        os.close(handles.pop(0))
        os.close(handles.pop(0))
        assert try_lock(handles[0])
    finally:
        for handle in handles:
            os.close(handle)
