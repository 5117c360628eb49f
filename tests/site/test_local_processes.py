"""Children of the supervisor: ended whole, found again after a kill, never mistaken."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sqpsych_site.local import proc
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import Places, places
from sqpsych_site.local.private import make_places
from sqpsych_site.local.processes import Child, start_child, sweep

PROJECT = Path(__file__).resolve().parents[2]
# A leader with a helper in its group, as a model server has; it names the helper in its log.
FAMILY = "sleep 600 & echo helper $!; exec sleep 600"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def home(tmp_path: Path) -> Places:
    made = places(tmp_path / "var")
    make_places(made)
    return made


@pytest.fixture
def family(home: Places) -> Iterator[Child]:
    child = start_child(home, "family", ["sh", "-c", FAMILY])
    yield child
    child.stop(seconds=0)


def silent(_text: str) -> None:
    """Say nothing."""


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def helper_of(child: Child) -> int:
    wait_for(lambda: "helper" in child.log.read_text())
    return int(child.log.read_text().split()[-1])


def gone(pid: int) -> bool:
    return proc.look_at(pid) is None


def test_child_leads_a_group_and_writes_to_its_log(family: Child) -> None:
    helper = proc.look_at(helper_of(family))
    assert helper is not None
    assert (helper.group, helper.session) == (family.pid, family.pid)
    assert not family.ended()
    noted = json.loads(family.record.read_text())
    leader = proc.look_at(family.pid)
    assert leader is not None
    assert (noted["pid"], noted["started"]) == (family.pid, leader.started)


def test_stop_ends_the_group_and_forgets_the_record(family: Child) -> None:
    helper = helper_of(family)
    assert family.stop(seconds=10) is True
    assert gone(helper)
    assert family.process.returncode == -signal.SIGTERM
    assert not family.record.exists()
    assert family.stop(seconds=10) is True


def test_stop_kills_what_does_not_listen(home: Places) -> None:
    child = start_child(home, "stubborn", ["sh", "-c", STUBBORN])
    wait_for(lambda: "ready" in child.log.read_text())
    assert child.stop(seconds=0.2) is False
    assert child.process.returncode == -signal.SIGKILL


def test_ended_ends_the_helpers_of_a_killed_process(family: Child) -> None:
    helper = helper_of(family)
    os.kill(family.pid, signal.SIGKILL)
    wait_for(family.ended)
    wait_for(lambda: gone(helper))
    assert not family.record.exists()


def test_start_child_says_that_a_program_is_missing(home: Places) -> None:
    child = start_child(home, "none", ["/nowhere/program"])
    wait_for(child.ended)
    assert child.process.returncode == 127
    with pytest.raises(LocalServiceError, match=r"none cannot be started: .* is missing"):
        start_child(home, "none", ["true"], cwd=home.run / "nowhere")


def test_children_end_with_a_killed_supervisor(home: Places) -> None:
    code = (
        "import sys, time; from sqpsych_site.local.paths import places\n"
        "from sqpsych_site.local.processes import start_child\n"
        "print(start_child(places(sys.argv[1]), 'one', ['sleep', '600']).pid, flush=True)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.data_dir)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert not gone(pid)
        supervisor.kill()
    wait_for(lambda: gone(pid))


def test_sweep_ends_what_a_killed_run_left(home: Places, family: Child) -> None:
    helper = helper_of(family)
    said: list[str] = []
    assert sweep(home, say=said.append) == ["family"]
    assert said == ["Ending what an earlier run left behind: family."]
    assert gone(family.pid)
    assert gone(helper)
    assert list(home.run.glob("*.process.json")) == []
    assert sweep(home, say=said.append) == []


def test_sweep_finds_helpers_whose_leader_is_dead(home: Places, family: Child) -> None:
    helper = helper_of(family)
    record = family.record.read_text()
    os.kill(family.pid, signal.SIGKILL)
    # Reaped without our knowledge, as by init after a kill of the supervisor.
    os.waitpid(family.pid, 0)
    family.record.write_text(record)
    assert not gone(helper)
    assert sweep(home, say=silent) == ["family"]
    assert gone(helper)
    family.process.returncode = -signal.SIGKILL


def test_sweep_never_touches_a_reused_number(home: Places, family: Child) -> None:
    noted = json.loads(family.record.read_text())
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        reused = {"pid": stranger.pid, "started": noted["started"] - 1}
        for changed in (reused, {"boot": "another"}, {"started": 1}, {"pid": "x"}):
            family.record.write_text(json.dumps({**noted, **changed}))
            assert sweep(home, say=silent) == []
            assert stranger.poll() is None
            assert not family.ended()
        stranger.kill()


def test_sweep_never_touches_a_group_that_does_not_write_to_our_log(home: Places) -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    ) as leader:
        assert leader.stdout is not None
        helper = int(leader.stdout.readline())
        leader.wait()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        record = {"pid": leader.pid, "started": 1, "boot": boot}
        (home.run / "worker.process.json").write_text(json.dumps(record))
        assert sweep(home, say=silent) == []
        assert not gone(helper)
        os.kill(helper, signal.SIGKILL)


def test_sweep_survives_a_damaged_record(home: Places) -> None:
    (home.run / "web.process.json").write_text("{")
    assert sweep(home, say=silent) == []
    assert list(home.run.glob("*.process.json")) == []


def test_look_at_reads_names_with_brackets(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/usr/bin/sleep")
    with subprocess.Popen([str(program), "600"]) as process:
        wait_for(lambda: "a)" in getattr(proc.look_at(process.pid), "name", ""))
        facts = proc.look_at(process.pid)
        assert facts is not None
        assert (facts.name, facts.parent) == ("a) S 1 (b", os.getpid())
        process.kill()
