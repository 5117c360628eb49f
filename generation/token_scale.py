"""How many tokens a model counts where the rule of thumb counts one, learnt from replies (pure)."""

import math
from collections.abc import Sequence

from generation.turns import ChatMessage, estimate_tokens

# Shorter prompts are mostly the chat template's frame.
_WORTH = 200
_FORGET = 0.02


class TokenScale:
    """Corrects the rule of thumb for one server's tokeniser, language and chat template.

    It follows the densest prompts: up at once, down slowly, so that the guard before a request
    errs on the side of asking for too much room.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self._learnt = False

    def note(self, messages: Sequence[ChatMessage], counted: int) -> None:
        """Learn from a prompt and the tokens that the server counted (0: it does not tell)."""
        estimated = estimate_tokens(messages)
        if estimated < _WORTH or counted <= 0:
            return
        seen = counted / estimated
        if not self._learnt or seen > self.factor:
            self.factor = seen
        else:
            self.factor += _FORGET * (seen - self.factor)
        self._learnt = True


def scaled_estimate(messages: Sequence[ChatMessage], scales: Sequence[TokenScale]) -> int:
    """Prompt tokens by the rule of thumb and the densest of these scales."""
    return math.ceil(estimate_tokens(messages) * max((each.factor for each in scales), default=1.0))
