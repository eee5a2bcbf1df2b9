from hypothesis import given
from hypothesis import strategies as st

from hub.line.lines import LONGEST, LineReader, decoded

ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b";", b"aa", b"\x03\r\n"])
PIECES = st.lists(st.one_of(ENDS, st.binary(max_size=8), st.just(b"ab\r" * 400)), max_size=12)


def test_a_line_comes_once_its_end_has_come() -> None:
    reader = LineReader(b"\r\n")
    assert reader.receive_data(b"21.5,4") == []
    assert reader.is_within_line
    assert reader.receive_data(b"0\r") == []
    assert reader.receive_data(b"\n21.6,41\r\n") == ["21.5,40", "21.6,41"]
    assert not reader.is_within_line


def test_a_carriage_return_before_the_end_is_no_part_of_the_line() -> None:
    assert LineReader(b"\n").receive_data(b"21.5\r\n21.6\n") == ["21.5", "21.6"]


def test_blank_lines_are_passed_over() -> None:
    assert LineReader(b"\r").receive_data(b"\r\n\r21.5\r\n\r") == ["21.5"]


@given(ENDS, PIECES, st.integers(1, 700))
def test_lines_do_not_depend_on_how_the_bytes_are_cut(end: bytes, pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    at_once, in_pieces = LineReader(end), LineReader(end)
    expected = at_once.receive_data(data)
    found = [line for at in range(0, len(data), size) for line in in_pieces.receive_data(data[at : at + size])]
    assert (found, in_pieces.overlong) == (expected, at_once.overlong)
    if not in_pieces.is_within_line:
        assert (
            in_pieces.dropped_bytes
            == at_once.dropped_bytes
            == sum(len(line) for line in data.split(end) if len(line) > LONGEST)
        )


@given(ENDS, PIECES)
def test_no_line_is_lost_or_changed_but_for_those_too_long(end: bytes, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    reader = LineReader(end)
    complete = data.split(end)[:-1]
    assert reader.receive_data(data) == [
        text for line in complete if len(line) <= LONGEST and (text := decoded(line))
    ]
    assert reader.overlong == sum(len(line) > LONGEST for line in complete)


def test_a_line_of_the_longest_length_is_kept_and_one_byte_more_is_dropped_and_counted() -> None:
    reader = LineReader(b"\r\n")
    assert reader.receive_data(b"1" * LONGEST + b"\r\n") == ["1" * LONGEST]
    assert reader.receive_data(b"1" * (LONGEST + 1) + b"\r\n21.5\r\n") == ["21.5"]
    assert reader.overlong == 1


@given(st.lists(st.binary(min_size=1, max_size=5000), max_size=20))
def test_what_is_kept_is_bounded(pieces: list[bytes]) -> None:
    reader = LineReader(b"\r\n")
    for piece in pieces:
        reader.receive_data(piece)
        assert len(reader._begun) <= LONGEST + 1


def test_a_discarded_beginning_is_no_part_of_the_next_line() -> None:
    reader = LineReader(b"\n")
    reader.receive_data(b"1" * 2000)
    reader.discard()
    assert not reader.is_within_line
    assert reader.receive_data(b"21.5\n") == ["21.5"]


def test_bytes_that_are_no_utf_8_are_read_as_latin_1() -> None:
    assert LineReader(b"\n").receive_data("21.5 °C\n".encode() + "21.6 °C\n".encode("latin-1")) == [
        "21.5 °C",
        "21.6 °C",
    ]


@given(st.binary())
def test_any_bytes_can_be_decoded(line: bytes) -> None:
    assert decoded(line) == decoded(line).strip("\r\n")


def test_a_reader_that_begins_in_the_middle_drops_the_first_line() -> None:
    reader = LineReader(b"\r\n", from_middle=True)
    assert reader.receive_data(b"3.5,40\r") == []
    assert reader.receive_data(b"\n23.6,41\r\n") == ["23.6,41"]
    assert (reader.overlong, reader.dropped_bytes) == (0, 6)
