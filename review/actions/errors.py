"""Why a judgment was not stored, in words for the rater and a status for the browser."""

from django.utils.translation import gettext as _


class Refused(Exception):
    """The request asks for something the study or the instrument does not allow.

    ``code`` is stable and names the reason, ``sentence`` is for the person, ``status`` is HTTP's.
    """

    def __init__(self, code: str, sentence: str, *, status: int = 422) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence
        self.status = status


class Closed(Refused):
    """The study or the assignment takes nothing now, whatever was asked."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence, status=409)


class Conflict(Refused):
    """The answer was changed elsewhere since the page last saw it; what is stored is told."""

    def __init__(self, *, value: str, comment: str, revision: int) -> None:
        sentence = _("This answer was changed in another window. Choose which one counts.")
        super().__init__("stale", sentence, status=409)
        self.value = value
        self.comment = comment
        self.revision = revision
