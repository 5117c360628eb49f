"""Writes what independent packages say about agreement in fixed data, for test_agreement.py.

Run by hand, never by the tests, in a virtual environment outside the project, because these
packages are under the GPL or pin old versions of others:

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install krippendorff pingouin statsmodels
    /tmp/oracle/bin/python tests/review/oracles/make.py
    python3 -m venv /tmp/oracle2 && /tmp/oracle2/bin/pip install irrCAC
    /tmp/oracle2/bin/python tests/review/oracles/make.py

Each run writes <package>.json beside this file for the packages it finds.
"""

import importlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sets = dict[str, list[list[float | None]]]
Found = dict[str, dict[str, float]]

HERE = Path(__file__).parent
FORMS = {
    "ICC(1,1)": "1,1",
    "ICC(A,1)": "2,1",
    "ICC(C,1)": "3,1",
    "ICC(1,k)": "1,k",
    "ICC(A,k)": "2,k",
    "ICC(C,k)": "3,k",
}
WEIGHTS = {"identity": None, "linear": "linear", "quadratic": "quadratic"}


def data() -> Sets:
    """Raters x units, None where missing: full, with gaps, skewed, half marks, many values."""
    rng = np.random.default_rng(20251029)
    truth = rng.integers(0, 3, 40)
    slips = rng.integers(-1, 2, (3, 40)) * (rng.random((3, 40)) < 0.4)
    sets: dict[str, NDArray[Any]] = {"full": np.clip(truth + slips, 0, 2)}
    truth = rng.integers(0, 5, 60)
    gaps = np.clip(truth + rng.integers(-1, 2, (5, 60)), 0, 4).astype(float)
    gaps[rng.random((5, 60)) < 0.35] = np.nan
    sets["gaps"] = gaps
    sets["skewed"] = (rng.random((4, 80)) < 0.06).astype(float)
    marks = rng.integers(2, 8, 30) / 2
    sets["half_marks"] = np.clip(marks + rng.integers(-1, 2, (3, 30)) / 2, 1, 4)
    severity = np.array([[0], [1], [0], [-1]])
    sets["many_values"] = np.round(rng.normal(0, 2, 25) + rng.normal(0, 1, (4, 25)) + severity, 3)
    return {
        name: [[None if np.isnan(x) else float(x) for x in row] for row in np.asarray(rows, float)]
        for name, rows in sets.items()
    }


def array(rows: list[list[float | None]]) -> NDArray[np.float64]:
    return np.array(rows, dtype=float)


def from_krippendorff(sets: Sets) -> Found:
    package = importlib.import_module("krippendorff")
    return {
        f"alpha {level}": {
            name: package.alpha(reliability_data=array(rows), level_of_measurement=level)
            for name, rows in sets.items()
        }
        for level in ("nominal", "ordinal", "interval")
    }


def from_pingouin(sets: Sets) -> Found:
    package = importlib.import_module("pingouin")
    pandas = importlib.import_module("pandas")
    found: Found = {f"icc {form}": {} for form in FORMS.values()}
    for name in ("full", "half_marks", "many_values"):
        rows = array(sets[name])
        raters, units = rows.shape
        cells = [
            (unit, rater, rows[rater, unit]) for rater in range(raters) for unit in range(units)
        ]
        long = pandas.DataFrame(cells, columns=["unit", "rater", "value"])
        table = package.intraclass_corr(long, targets="unit", raters="rater", ratings="value")
        for kind, value in zip(table["Type"], table["ICC"], strict=True):
            found[f"icc {FORMS[kind]}"][name] = float(value)
    return found


def from_statsmodels(sets: Sets) -> Found:
    package = importlib.import_module("statsmodels.stats.inter_rater")
    found: Found = {"fleiss": {}}
    for name in ("full", "skewed", "half_marks"):
        table, _ = package.aggregate_raters(array(sets[name]).T)
        found["fleiss"][name] = float(package.fleiss_kappa(table))
    for weights, name_there in WEIGHTS.items():
        found[f"cohen {weights}"] = {}
        for name in ("full", "skewed", "half_marks"):
            first, second = array(sets[name])[:2]
            values = np.unique([first, second])
            table = np.array(
                [[((first == a) & (second == b)).sum() for b in values] for a in values]
            )
            kappa = package.cohens_kappa(table, wt=name_there, return_results=False)
            found[f"cohen {weights}"][name] = float(kappa)
    return found


def from_irrcac(sets: Sets) -> Found:
    raw = importlib.import_module("irrCAC.raw")
    pandas = importlib.import_module("pandas")
    found: Found = {}
    for name in ("full", "gaps", "skewed", "half_marks"):
        frame = pandas.DataFrame(array(sets[name]).T)
        for weights in WEIGHTS:
            calculator = raw.CAC(frame, weights=weights, digits=12)
            gwet = calculator.gwet()["est"]["coefficient_value"]
            found.setdefault(f"gwet {weights}", {})[name] = float(gwet)
        calculator = raw.CAC(frame, digits=12)
        fleiss, alpha = calculator.fleiss()["est"], calculator.krippendorff()["est"]
        found.setdefault("fleiss", {})[name] = float(fleiss["coefficient_value"])
        found.setdefault("percent", {})[name] = float(fleiss["pa"])
        found.setdefault("alpha nominal", {})[name] = float(alpha["coefficient_value"])
    return found


SOURCES = {
    "krippendorff": from_krippendorff,
    "pingouin": from_pingouin,
    "statsmodels": from_statsmodels,
    "irrCAC": from_irrcac,
}


def main() -> None:
    sets = data()
    (HERE / "data.json").write_text(json.dumps(sets, indent=None) + "\n")
    for package, ask in SOURCES.items():
        try:
            importlib.import_module(package)
        except ImportError:
            continue
        found = {"package": package, "version": version(package), "values": ask(sets)}
        (HERE / f"{package.lower()}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
