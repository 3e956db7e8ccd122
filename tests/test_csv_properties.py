"""Properties of reading CSV: spelling does not matter, and a bad row is named and changes nothing but itself."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from events import csv_blocks
from events.csv_blocks import Block, Head, count_rows, is_numbering, read_blocks, read_head, split_fields
from events.csv_rows import NUMBER, OVERFLOW, RowParser

COLUMNS = ("label", "x", "y")
PARSER = RowParser.for_file("f.csv", Head(b"", False), COLUMNS)

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=200)

STARTS = st.sampled_from(["", "\ufeff", "\n", "\ufeff \r\n"])
HEADERS = st.sampled_from(["", "label,x,y", '"label", "x" ,"y"', "0,1,2", '"0","1","2"', "1,2,3"])
PADDING = st.sampled_from(["", "", " ", "\t", "  "])
LINE_ENDS = st.sampled_from(["\n", "\n", "\r\n", "\n\n", "\r\n \r\n", " \n\t\n"])
LAST_ENDS = st.sampled_from(["", "\n", "\r\n", "\r", "\n\n"])
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
LABELS = st.sampled_from(["0", "1", "1.0", "0e0"])
NUMBERS = st.one_of(
    FLOATS.map(lambda value: f"{value:.18e}"),
    FLOATS.map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(["1.", ".5", "-0", "00", "7E2", "1e-50", "3.4028235e38", "-1.5e+3"]),
)
BAD_LINES = st.sampled_from(
    ["x", "1,2", "1,2,3,4", "1,nan,2", "1,1e39,2", "2,1,1", "0.5,1,1", ",,", '1,"2,3', "1,+-2,3"]
)
NEARLY_LINES = st.lists(
    st.lists(st.text("01.5eE+-xn\" '\t\r", max_size=4), min_size=2, max_size=4).map(",".join), max_size=4
).map("\n".join)


@st.composite
def spelled(draw, number: str) -> str:
    """A number in quotes or not, with a plus or not, and padded."""
    plus = draw(st.sampled_from(["", "", "+"])) if number[0] not in "+-" else ""
    quote = draw(st.sampled_from(["", "", '"', "'"]))
    inner = draw(PADDING) if quote else ""
    return draw(PADDING) + quote + inner + plus + number + inner + quote + draw(PADDING)


@st.composite
def rows_and_lines(draw) -> tuple[np.ndarray, list[str]]:
    """float32 [n_rows, 3], and a line without its end for each row."""
    rows = draw(st.lists(st.tuples(LABELS, NUMBERS, NUMBERS), min_size=1, max_size=9))
    lines = [",".join(draw(spelled(number)) for number in row) for row in rows]
    assume(not is_numbering(split_fields(lines[0].encode())))
    return np.array([[np.float32(number) for number in row] for row in rows], np.float32), lines


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("csv") / "rows.csv"


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Blocks of half a kilobyte, so that most files are several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", 500)
        yield


def read(path, text: str):
    """The rows [n, 3] of a file, their numbers, and the bad rows."""
    path.write_bytes(text.encode())
    head = read_head(str(path))
    parser = RowParser.for_file(str(path), head, COLUMNS)
    parsed = [parser.parse(block) for block in read_blocks(str(path), head)]
    values = np.concatenate([rows.values.T for rows in parsed])
    return values, [number for rows in parsed for number in rows.numbers], [bad for rows in parsed for bad in rows.bad]


@repeatable
@given(rows_and_lines(), STARTS, HEADERS, LAST_ENDS, st.data())
def test_spelling_does_not_matter_and_every_row_is_counted(path, made, start, header, last_end, data):
    expected, lines = made
    lines = [header, *lines] if header else lines
    text = start + "".join(line + data.draw(LINE_ENDS) for line in lines[:-1]) + lines[-1] + last_end
    values, numbers, bad = read(path, text)
    assert not bad
    assert values.tobytes() == expected.tobytes()
    assert numbers == list(range(len(expected)))
    assert count_rows(str(path)) == len(expected)


@repeatable
@given(rows_and_lines(), BAD_LINES, st.data())
def test_bad_row_is_named_by_its_line_and_changes_nothing_but_itself(path, made, bad_line, data):
    expected, lines = made
    place = data.draw(st.integers(1, len(lines)))
    before = "".join(line + data.draw(LINE_ENDS) for line in lines[:place])
    after = "".join(data.draw(LINE_ENDS) + line for line in lines[place:])
    values, numbers, bad = read(path, before + bad_line + after)
    assert [(row.line, row.text.strip()) for row in bad] == [(before.count("\n") + 1, bad_line.encode())]
    assert values.tobytes() == expected.tobytes()
    assert numbers == [number for number in range(len(lines) + 1) if number != place]
    assert count_rows(str(path)) == len(lines) + 1


@repeatable
@given(NEARLY_LINES | st.text('0,,1.\n\n\r "', max_size=40))
def test_what_the_fast_parser_takes_the_careful_one_takes_with_the_same_values(text):
    block = Block(text.encode(), 1, 0, "f.csv")
    fast, careful = PARSER.parse_plain(block.text), PARSER.parse_by_line(block)
    if fast is not None:
        assert not careful.bad
        assert careful.values.tobytes() == fast.tobytes()
    assert len(careful.numbers) + len(careful.bad) == sum(bool(line.strip()) for line in text.split("\n"))


@repeatable
@given(st.text("0123456789.eE+-naif_x", min_size=1, max_size=12))
def test_number_is_what_the_rule_says(text):
    rows = PARSER.parse(Block(f"1,{text},0\n".encode(), 1, 0, "f.csv"))
    is_number = bool(NUMBER.fullmatch(text.encode())) and abs(float(text)) < OVERFLOW
    assert bool(rows.bad) != is_number
    if is_number:
        assert rows.values[1].tolist() == [np.float32(text)]
