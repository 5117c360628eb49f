"""The database backend of this site."""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Knows a connection that its server has closed without asking the server each time."""

    def is_usable(self) -> bool:
        """Whether the kept connection still works.

        A server that went away has closed its end, and a closed end has something to read. Only
        then is the server asked: between requests a sound connection is silent.
        """
        if self.connection is None:
            return False
        silent = select.poll()
        silent.register(self.connection.fileno(), select.POLLIN)
        return not silent.poll(0) or super().is_usable()
