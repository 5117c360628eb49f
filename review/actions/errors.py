"""Why a judgment was not stored, in words for the rater and a status for the browser."""


class Refused(Exception):
    """The request asks for something the study or the instrument does not allow.

    ``code`` is stable and names the reason, ``sentence`` is for the person, ``status`` is HTTP's.
    """

    def __init__(self, code: str, sentence: str, *, status: int = 422) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence
        self.status = status


class Conflict(Refused):
    """The answer was changed elsewhere since the page last saw it; both values are told."""

    def __init__(self, *, stored: str, given: str, revision: int) -> None:
        super().__init__(
            "stale",
            "This answer was changed in another window. Choose which one counts.",
            status=409,
        )
        self.stored = stored
        self.given = given
        self.revision = revision
