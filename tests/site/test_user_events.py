"""Changes of people leave events that nobody can change."""

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction


def test_role_change_leaves_an_event_for_each_value(make_user):
    user = make_user("rater")
    user.role = "coordinator"
    user.save()
    events = apps.get_model("sqpsych_site", "UserEvent").objects.filter(pgh_obj=user)
    assert list(events.order_by("pgh_id").values_list("role", flat=True)) == [
        "rater",
        "coordinator",
    ]


@pytest.mark.parametrize("change", ["UPDATE {} SET role = 'rater'", "DELETE FROM {}"])
def test_events_refuse_update_and_delete_by_plain_sql(make_user, change):
    make_user("coordinator")
    table = apps.get_model("sqpsych_site", "UserEvent")._meta.db_table
    with (
        pytest.raises(DatabaseError),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table))
