"""Sessions in the database, as Django keeps them; read by a prepared statement.

A session that is deleted is over with the next request, in every process.
"""

from typing import Any

from django.contrib.sessions.backends import db

from sqpsych_site.statements import fetch

_LOAD = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > now()"


class SessionStore(db.SessionStore):
    """See above."""

    def load(self) -> dict[str, Any]:
        """The session's content; an unknown or expired one is empty and loses its key."""
        for (data,) in fetch(_LOAD, [self.session_key]):
            return dict(self.decode(data))
        self._session_key = None
        return {}
