"""codebook: every column of every file of the export, and the rules that hold for all of them."""

from collections.abc import Iterator, Sequence

from review.tables.frame import SYNTHETIC, Column, Row, Table

COLUMNS = (
    Column("data", "code", "what the ratings are about", "synthetic = dialogues made up, not care"),
    Column("file", "code", "file of the export; * = all of them"),
    Column("column", "code", "name of the column"),
    Column("meaning", "text", "what it holds"),
    Column("type", "code", "text, code (fixed words), integer, number, or time (ISO 8601, UTC)"),
    Column("values", "text", "possible values and what they mean"),
    Column("missing", "text", "codes that are no measurement, and what an empty cell means"),
    Column("instrument", "code", "instrument that the column belongs to"),
    Column("instrument_version", "code", "version of the instrument"),
    Column("instrument_sha256", "code", "hash of the instrument's definition"),
)
RULES = (
    ("(file format)", "CSV after RFC 4180 in UTF-8 with a byte order mark; lines end in CR LF, line"
     " breaks inside a cell are LF. pandas and spreadsheets read it as it is; in R use"
     " read.csv(FILE, fileEncoding = 'UTF-8-BOM'), in Python's csv module encoding='utf-8-sig'."),
    ("(text cells)", "A text that a spreadsheet could run as a formula (its first sign, after"
     " blanks and apostrophes, is = + - @ | % or a full-width form of them, or it begins with a tab"
     " or line break) has one apostrophe before it: take off one apostrophe where such a sign"
     " follows, and it is as it was written. Numbers are never changed."),
    ("(control characters)", "Control characters in a text are written as their visible pictures"
     " (U+2400 to U+2421), so that no program stops at them."),
    ("(synthetic)", "The dialogues were made up by programs or for a demonstration. Nothing here"
     " is about the care of a real person."),
)  # fmt: skip


def codebook_table(tables: Sequence[Table], ending: str) -> Table:
    """Describe the columns of ``tables`` and of the codebook itself."""

    def rows() -> Iterator[Row]:
        for name, rule in RULES:
            yield [SYNTHETIC, "*", name, rule, "text", None, None, None, None, None]
        for table in tables:
            yield from (_row(f"{table.name}.{ending}", column) for column in table.columns)
        yield from (_row(f"codebook.{ending}", column) for column in COLUMNS)

    return Table("codebook", COLUMNS, whole=rows)


def _row(file: str, column: Column) -> Row:
    form = column.form
    about = (form.key, form.version, form.sha256) if form else (None, None, None)
    return [
        SYNTHETIC, file, column.name, column.meaning, column.kind,
        column.values, column.missing, *about,
    ]  # fmt: skip
