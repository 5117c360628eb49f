"""Fixtures of the tests that walk the whole site."""

from typing import Any

import pytest
from django.db import connections

from tests.site.crawl import Walk, walk
from tests.site.scene import Scene, make_scene, undone


@pytest.fixture
def scene(db: None) -> Scene:
    """One row of everything."""
    return make_scene()


@pytest.fixture(scope="session")
def met(django_db_setup: None, django_db_blocker: Any) -> Walk:
    """What the walk over every address met: made once, looked at by many tests."""
    with django_db_blocker.unblock():
        # A test before this one may have had its connection killed on purpose.
        connections.close_all()
    with django_db_blocker.unblock(), undone():
        return walk(make_scene())
