"""Rows of (what, figure, beside what) and how they are printed."""

from dataclasses import dataclass, field


@dataclass
class Table:
    """Collects rows; a heading row has no figure."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.rows.append((text, "", ""))

    def add(self, what: str, figure: str, beside: str = "") -> None:
        """One measured figure, and what it is to be read beside."""
        self.rows.append((f"  {what}", figure, beside))

    def show(self) -> None:
        """Print all rows in columns."""
        widths = [max(len(row[i]) for row in self.rows) for i in range(3)]
        for what, figure, beside in self.rows:
            if not figure:
                print()
            line = f"{what:<{widths[0]}}  {figure:>{widths[1]}}  {beside}"
            print(line.rstrip())


def milliseconds(seconds: float) -> str:
    """A duration for the table."""
    return f"{seconds * 1000:.0f} ms"


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the sorted values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
