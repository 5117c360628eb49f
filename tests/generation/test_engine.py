"""The engine against a fake model server and a real PostgreSQL."""

import pytest

from generation.models import BatchState
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import (
    assert_sound,
    counts,
    drive,
    endpoint_for,
    small_batch,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_slice_completes_a_batch() -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        batch = small_batch(4)
        report = drive()
    assert counts(batch) == {"complete": 4}
    assert_sound(batch)
    batch.refresh_from_db()
    assert batch.state == BatchState.FINISHED
    assert (report.claimed, report.finished, report.lost, report.work_left) == (4, 4, 0, False)
