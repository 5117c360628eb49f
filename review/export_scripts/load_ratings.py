"""Load the files of an SQPsych export and calculate its agreement table anew.

    python load_ratings.py [FOLDER]

Needs pandas and numpy. FOLDER holds the unpacked CSV files; without it, the folder of this script
is taken. From another program: ``tables = load("folder")``, then ``tables["ratings_long"]``.
Intervals come from resampling and stand in agreement.csv; estimates are calculated here.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

TIMES = ("answered_at", "opened_at", "submitted_at", "created_at", "updated_at", "decided_at")
NUMBERS = ("value_number", "estimate", "low", "high", "units")
STATISTICS = ("percent", "alpha_nominal", "alpha_ordinal", "alpha_interval", "ac1",
              "ac2_quadratic", "fleiss", "icc_1_1")  # fmt: skip


def load(folder="."):
    """Every CSV file of the export as a table: codes and texts as text, times as moments."""
    tables = {}
    for path in sorted(Path(folder).glob("*.csv")):
        table = pd.read_csv(path, encoding="utf-8-sig", dtype="string", keep_default_na=False)
        for column in table.columns:
            if column in NUMBERS:
                table[column] = pd.to_numeric(table[column].replace("", pd.NA))
            elif column in TIMES:
                table[column] = pd.to_datetime(table[column].replace("", pd.NA), utc=True)
        tables[path.stem] = table
    return tables


def counts(values, categories):
    """Dialogues x categories: how many raters gave each; dialogues that nobody rated left out."""
    table = np.array([[(row == one).sum() for one in categories] for row in values], dtype=float)
    return table[table.sum(axis=1) > 0] if len(table) else np.zeros((0, len(categories)))


def percent(table):
    """Share of agreeing pairs of raters, averaged over dialogues with two ratings or more."""
    table = table[table.sum(axis=1) >= 2]
    raters = table.sum(axis=1)
    return ((table * (table - 1)).sum(axis=1) / (raters * (raters - 1))).mean()


def alpha(table, scale, level):
    """Krippendorff's alpha (2011)."""
    table = table[table.sum(axis=1) >= 2]
    raters = table.sum(axis=1)
    pairs = table[:, :, None] * table[:, None, :] - table[:, :, None] * np.eye(table.shape[1])
    coincidences = (pairs / (raters - 1)[:, None, None]).sum(axis=0)
    given = coincidences.sum(axis=1)
    place = {"interval": scale, "ordinal": np.cumsum(given) - given / 2}.get(level)
    apart = 1 - np.eye(len(given)) if place is None else (place[:, None] - place[None, :]) ** 2
    expected = (np.outer(given, given) * apart).sum()
    if expected <= 0:
        return np.nan
    return 1 - (given.sum() - 1) * (coincidences * apart).sum() / expected


def chance_corrected(table, weights, chance):
    """(observed - chance) / (1 - chance); Gwet (2014) for missing ratings."""
    raters = table.sum(axis=1)
    shares = (table / raters[:, None]).mean(axis=0)
    table, raters = table[raters >= 2], raters[raters >= 2]
    agreeing = (table * (table @ weights - 1)).sum(axis=1) / (raters * (raters - 1))
    expected = chance(shares)
    return np.nan if expected >= 1 else (agreeing.mean() - expected) / (1 - expected)


def gwet(table, scale, weighted):
    """Gwet's AC1, or AC2 with quadratic weights."""
    count = len(scale)
    weights = np.eye(count)
    if weighted:
        weights = 1 - ((scale[:, None] - scale[None, :]) / (scale[-1] - scale[0])) ** 2
    factor = weights.sum() / (count * (count - 1))
    return chance_corrected(table, weights, lambda p: factor * (p * (1 - p)).sum())


def icc(values):
    """ICC(1,1) of Shrout and Fleiss (1979), with unequal numbers of raters."""
    rated = ~np.isnan(values)
    values, rated = values[rated.sum(axis=1) >= 2], rated[rated.sum(axis=1) >= 2]
    if len(values) < 2:
        return np.nan
    number = rated.sum(axis=1)
    total, squares = np.nansum(values, axis=1), np.nansum(values**2)
    between = (total**2 / number).sum()
    within = (squares - between) / (number.sum() - len(values))
    middle = (between - total.sum() ** 2 / number.sum()) / (len(values) - 1)
    each = (number.sum() - (number**2).sum() / number.sum()) / (len(values) - 1)
    below = middle + (each - 1) * within
    return np.nan if below <= 1e-12 else (middle - within) / below


def grid(rows, column):
    """Dialogues x raters of one column of numbers."""
    wide = rows.pivot(index="dialogue", columns="rater", values=column)
    return wide.to_numpy(dtype=float, na_value=np.nan)


def statistic(name, values, scale):
    """One statistic of dialogues x raters."""
    if name == "icc_1_1":
        return icc(values)
    if name.startswith("alpha") and not len(scale):
        scale = np.unique(values[~np.isnan(values)])
    if name == "percent" and not len(scale):
        scale = np.unique(values[~np.isnan(values)])
    table = counts(values, scale)
    if not (table.sum(axis=1) >= 2).any():
        return np.nan
    if name == "percent":
        return percent(table)
    if name.startswith("alpha"):
        return alpha(table, scale, name.removeprefix("alpha_"))
    if name == "fleiss":
        return chance_corrected(table, np.eye(len(scale)), lambda p: (p**2).sum())
    return gwet(table, scale, name.startswith("ac2"))


def measured(tables, row):
    """The numbers behind one row of agreement.csv: dialogues x raters, and the whole scale."""
    here = tables["ratings_long"]
    here = here[
        (here["study_id"] == row["study_id"])
        & (here["assignment_state"] == "submitted")
        & (here["kind"] == "live")
    ]
    own = here[here["instrument"] == row["instrument"]]
    stored = str(row["categories"]).split("|") if row["categories"] else []
    if row["measure"] == "item":
        rows = own[own["item"] == row["key"]].copy()
        if row["level"] == "ordinal":
            return grid(rows, "value_number"), np.array([float(one) for one in stored])
        places = {value: float(place) for place, value in enumerate(stored)}
        rows["number"] = rows["value"].map(places)
        return grid(rows, "number"), np.arange(len(stored), dtype=float)
    if row["measure"] == "section":
        rows = own[own["item"].isin(stored)]
        per = rows.groupby(["dialogue", "rater"])["value_number"]
        whole = per.sum(min_count=1).where(per.count() == len(stored)).reset_index()
        return grid(whole, "value_number"), np.array([])
    flags = tables["flags"]
    flags = flags[flags["study_id"] == row["study_id"]]
    if row["key"] != "any_flag":
        flags = flags[flags["category"] == row["key"]]
    raised = set(zip(flags["dialogue"], flags["rater"], flags["kind"], strict=True))
    works = here[["dialogue", "rater"]].drop_duplicates()
    works["number"] = [
        float((dialogue, rater, "live") in raised)
        for dialogue, rater in zip(works["dialogue"], works["rater"], strict=True)
    ]
    return grid(works, "number"), np.array([0.0, 1.0])


def agreement(tables):
    """agreement.csv with a column ``again``: the same estimate, calculated from the ratings."""
    told = tables["agreement"]
    told = told[told["statistic"].isin(STATISTICS)].copy()
    told["again"] = [
        statistic(row["statistic"], *measured(tables, row)) for _, row in told.iterrows()
    ]
    return told


def main():
    """Print the table, and whether every number was reached again."""
    folder = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent
    table = agreement(load(folder))
    for _, row in table.iterrows():
        numbers = [
            "" if pd.isna(row[name]) else f"{row[name]:.6f}" for name in ("estimate", "again")
        ]
        print(
            "\t".join([row["study_id"], row["instrument"], row["key"], row["statistic"], *numbers])
        )
    apart = (table["estimate"] - table["again"]).abs().max()
    same = (table["estimate"].isna() == table["again"].isna()).all() and not apart > 1e-6
    print("all figures reproduced" if same else f"figures differ by up to {apart}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
