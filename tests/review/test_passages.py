"""Marked passages: cut at the borders, nothing lost, offsets in code points."""

from hypothesis import given
from hypothesis import strategies as st

from review.passages import Piece, Span, pieces

OFFSETS = st.integers(min_value=0, max_value=40)


def test_overlapping_marks_share_the_piece_between_them() -> None:
    assert pieces("abcdef", [Span("x", 1, 4), Span("y", 3, 6)]) == [
        Piece("a"),
        Piece("bc", ("x",)),
        Piece("d", ("x", "y")),
        Piece("ef", ("y",)),
    ]


def test_offsets_count_code_points_not_units_or_what_is_seen() -> None:
    text = "👩‍👧 e\u0301 שלום"
    assert pieces(text, [Span("x", 4, 6)]) == [
        Piece("👩‍👧 "),
        Piece("e\u0301", ("x",)),
        Piece(" שלום"),
    ]


def test_spans_outside_the_text_are_cut_and_empty_ones_left_out() -> None:
    assert pieces("abc", [Span("x", 1, 99), Span("y", 3, 9), Span("z", 2, 2)]) == [
        Piece("a"),
        Piece("bc", ("x",)),
    ]
    assert pieces("", [Span("x", 0, 1)]) == []


@given(st.text(max_size=30), st.lists(st.tuples(OFFSETS, OFFSETS), max_size=6))
def test_pieces_are_the_text_again_and_each_mark_covers_its_span(
    text: str, places: list[tuple[int, int]]
) -> None:
    spans = [Span(str(n), *sorted(place)) for n, place in enumerate(places)]
    found = pieces(text, spans)
    assert "".join(piece.text for piece in found) == text
    for span in spans:
        covered = "".join(piece.text for piece in found if span.uid in piece.marks)
        assert covered == text[span.start : span.end]
