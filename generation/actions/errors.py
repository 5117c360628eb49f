"""The one error that an action raises when it cannot do what was asked."""


class Refused(Exception):
    """Nothing was changed; the message is one sentence for the person who asked."""
