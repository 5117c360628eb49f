import pytest
from django.db import connection, DatabaseError


def test_user_change_leaves_an_event(make_user):
    user = make_user("rater")
    user.role = "coordinator"
    user.save()
    assert [e.role for e in user.events.order_by("pgh_id")] == ["rater", "coordinator"]
