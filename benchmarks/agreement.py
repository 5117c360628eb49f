"""Agreement with intervals over a large study, in memory."""

import time

import numpy as np

from benchmarks.table import Table, milliseconds

ITEMS, RATERS, DIALOGUES = 18, 3, 2000


def measure(table: Table) -> None:
    """Ordinal alpha of every item with 1,000 bootstrap draws."""
    from review.agreement import krippendorff_alpha

    table.heading(f"Agreement: {DIALOGUES} dialogues x {RATERS} raters x {ITEMS} items")
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, size=(ITEMS, 1, DIALOGUES))
    noise = random.integers(0, 3, size=(ITEMS, RATERS, DIALOGUES))
    values = np.where(random.random(noise.shape) < 0.6, truth, noise).astype(float)
    values[random.random(values.shape) < 0.05] = np.nan
    begun = time.perf_counter()
    for item in values:
        krippendorff_alpha(item, "ordinal")
    seconds = time.perf_counter() - begun
    table.add(
        "ordinal alpha, 1,000 draws, all items",
        milliseconds(seconds),
        f"best rival not ended after 639 s: at least {639 / seconds:.0f} x",
    )
