"""``make bench``: run the measurements and print a table.

Options: names of sections (agreement, engine, rating, page, export, model); without any, all.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ("agreement", "engine", "rating", "page", "export", "model")


def main() -> int:
    """Prepare a database of its own, run the chosen sections, print what they found."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    chosen = parser.parse_args().sections or list(SECTIONS)
    unknown = sorted(set(chosen) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    os.environ["SQPSYCH_DATA_DIR"] = str(ROOT / "var" / "bench")
    os.environ["DJANGO_SETTINGS_MODULE"] = "sqpsych_site.settings"
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    sys.path.insert(0, str(ROOT))

    from benchmarks.setting import fresh_database
    from benchmarks.table import Table

    table = Table()
    with fresh_database():
        for name in chosen:
            section = __import__(f"benchmarks.{name}", fromlist=["measure"])
            print(f"... {name}", file=sys.stderr, flush=True)
            section.measure(table)
    table.show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
