"""Where an error came from, in words that are safe in a log (pure)."""

import traceback
from pathlib import Path


def place_of(error: BaseException) -> str:
    """Type, file and line of an error. Its message is left out: it may quote a dialogue."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
