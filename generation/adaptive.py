"""How many requests one endpoint bears at once: additive up, multiplicative down (pure)."""

import time
from collections.abc import Callable


class AdaptiveLimit:
    """A concurrency limit between 1 and `cap` that follows what the endpoint can bear.

    Each full round of successes (as many as the limit) raises the limit by `step`; an overload
    (429, 503, a timeout) multiplies it by `cut`. What fails together counts once: after a cut,
    failures are ignored for `cool_down_s` seconds, and so are those of requests that were sent
    before it, however late they come, since they say nothing about the new limit.
    """

    def __init__(
        self,
        cap: int,
        *,
        start: int | None = None,
        step: int | None = None,
        cut: float = 0.5,
        cool_down_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if cap < 1 or not 0.0 < cut < 1.0 or cool_down_s < 0.0:
            raise ValueError("An adaptive limit needs a cap of 1 or more and a cut below 1.")
        self.cap = cap
        self._limit = min(max(cap if start is None else start, 1), cap)
        # A fixed +1 would take 32,000 replies from 1 to 256; a sixteenth of the cap takes 2,200.
        self._step = max(1, cap // 16) if step is None else max(1, step)
        self._cut = cut
        self._cool_down_s = cool_down_s
        self._clock = clock
        self._succeeded = 0
        self._last_cut: float | None = None

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, 1 to cap."""
        return self._limit

    def now(self) -> float:
        """The limit's own clock; take it when a request is sent, for `overloaded`."""
        return self._clock()

    def succeeded(self) -> bool:
        """Note one answered request. Returns whether the limit rose."""
        self._succeeded += 1
        if self._succeeded < self._limit:
            return False
        self._succeeded = 0
        before = self._limit
        self._limit = min(self._limit + self._step, self.cap)
        return self._limit > before

    def overloaded(self, sent_at: float | None = None) -> bool:
        """Note one request that failed for load, sent at `sent_at`. Returns whether this cut."""
        now = self._clock()
        if self._last_cut is not None:
            cooling = now - self._last_cut < self._cool_down_s
            stale = sent_at is not None and sent_at <= self._last_cut
            if cooling or stale:
                return False
        self._last_cut = now
        self._succeeded = 0
        self._limit = max(1, int(self._limit * self._cut))
        return True
