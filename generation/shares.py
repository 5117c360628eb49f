"""Who used how much of a server's time, when it works on many requests at once (pure)."""

import time
from collections.abc import Callable


class ShareClock:
    """A server's time, divided evenly at each moment among the requests it has under way.

    The clock runs at 1/n of real time while n requests are under way and stands still at none. A
    request's share is what passes on it between the request's begin and end; the shares of all
    requests add up to the time in which the server had any.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen = clock()
        self._passed = 0.0
        self._under_way = 0
        self._others = 0

    def now(self) -> float:
        """Seconds that one request has used since the clock was made, had it run all the time."""
        moment = self._clock()
        if self._under_way:
            self._passed += (moment - self._seen) / (self._under_way + self._others)
        self._seen = moment
        return self._passed

    def begin(self) -> float:
        """One more request is under way. Returns the time on the clock."""
        passed = self.now()
        self._under_way += 1
        return passed

    def end(self, begun: float) -> float:
        """One that began at ``begun`` has ended. Returns its share in seconds."""
        share = self.now() - begun
        self._under_way -= 1
        return share

    def beside(self, others: int) -> None:
        """The server has so many more requests under way, of others than us."""
        self.now()
        self._others = max(others, 0)
