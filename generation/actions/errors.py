"""The one error that an action raises when it cannot do what was asked."""


class Refused(Exception):  # noqa: N818 - named for what happened, as the pages say it
    """Nothing was changed; the message is one sentence for the person who asked."""
