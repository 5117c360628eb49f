"""When so many dialogues fail that going on is a waste: the circuit breaker's rule (pure)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from generation import words


@dataclass(frozen=True, slots=True)
class Breaker:
    """A batch is to pause once ``share`` (0 to 1) of the dialogues that ended last have failed.

    Looked at are the newest ``window`` endings, and nothing is said before there are ``minimum``.
    A share above 1 never trips.
    """

    share: float
    minimum: int
    window: int

    def verdict(self, endings: Sequence[str]) -> str:
        """Why the batch should pause, in words, or nothing.

        ``endings``, newest first: each one's failure reason, empty for a complete dialogue.
        """
        looked_at = endings[: self.window]
        reasons = Counter(reason for reason in looked_at if reason)
        failed = reasons.total()
        if len(looked_at) < max(self.minimum, 1) or failed < self.share * len(looked_at):
            return ""
        most = ", ".join(
            f"{number} x {words.failure(reason).lower()}"
            for reason, number in reasons.most_common(3)
        )
        return (
            f"{failed} of the last {len(looked_at)} dialogues failed,"
            f" at a limit of {self.share:.0%} ({most})"
        )
