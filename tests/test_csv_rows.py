import numpy as np
import pytest
from conftest import make_rows, to_csv

from events.csv_blocks import Block, Head
from events.csv_rows import RowParser
from events.errors import IngestionError

COLUMNS = ("label", "x", "y")


def parse(text: str, header: str = "", columns=COLUMNS):
    parser = RowParser.for_file("f.csv", Head(header.encode(), bool(header)), columns)
    return parser.parse(Block(text.encode(), 1, 0, "f.csv"))


def test_values_come_by_column_in_the_order_asked_for():
    rows = parse("1,0.5,-2e3\n0,1.,.25\n")
    assert rows.values.dtype == np.float32
    assert rows.values.tolist() == [[1, 0], [0.5, 1], [-2000, 0.25]]
    assert rows.numbers.tolist() == [0, 1]


def test_columns_are_found_by_header_in_any_order():
    assert parse("0.5,2,1\n", header='"x",y, label').values.tolist() == [[1], [0.5], [2]]


@pytest.mark.parametrize("header", ["label,x", "label,x,y,z", "label,x,z", "label,x,x"])
def test_header_with_other_columns_is_refused(header):
    with pytest.raises(IngestionError, match=r"Received: .* at f\.csv:1"):
        parse("", header=header)


def test_header_that_numbers_the_columns_leaves_them_in_the_order_of_higgs():
    assert parse("1,0.5,2\n", header="0,1,2").values.tolist() == [[1], [0.5], [2]]
    with pytest.raises(IngestionError, match=r"missing 'label' among 4 names at f\.csv:1"):
        parse("", header="0,1,2,3")


@pytest.mark.parametrize("spelling", ["1,{0},2\r\n", "1,{0},2\n\n", " 1 , {0}\t,2\n", '"1","{0}","2"\n'])
def test_bad_row_costs_no_other_row_whatever_their_spelling(spelling):
    lines = [spelling.format(number) for number in range(1000)]
    lines[499] = "1,2\r\n"
    rows = parse("".join(lines))
    [bad] = rows.bad
    assert bad.line == (999 if spelling.endswith("\n\n") else 500)
    assert rows.values[1].tolist() == [number for number in range(1000) if number != 499]
    assert rows.numbers.tolist() == [number for number in range(1000) if number != 499]


@pytest.mark.parametrize(
    "text",
    ["1,0.5,2", "1,0.5,2\r\n", "1, 0.5, 2\n", '"1","0.5","2"\n', "+1,+0.5,+2E0\n", "\n1,0.5,2\n\n", " 1 ,\t0.5,2 \n"],
)
def test_spelling_of_a_row_does_not_matter(text):
    rows = parse(text)
    assert rows.values.tolist() == [[1], [0.5], [2]]
    assert not rows.bad


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,0.5", "HIGGS rows need 3 columns. Received: 2 at f.csv:2."),
        ("1,0.5,2,7", "HIGGS rows need 3 columns. Received: 4 at f.csv:2. Remove the extra field."),
        ("1,0.5,", "Values must be numbers. Received: y = '' at f.csv:2."),
        ("1,abc,2", "Values must be numbers. Received: x = 'abc' at f.csv:2."),
        ("1,1_0,2", "Values must be numbers. Received: x = '1_0' at f.csv:2."),
        ("1,nan,2", "Values must be finite. Received: x = 'nan' at f.csv:2."),
        ("1,2,-Inf", "Values must be finite. Received: y = '-Inf' at f.csv:2."),
        ("1,2,1e39", "Values must fit in 32-bit floats. Received: y = '1e39' at f.csv:2."),
        ("2,0.5,2", "The label must be 0 or 1. Received: label = '2' at f.csv:2."),
        ("0.5,0.5,2", "The label must be 0 or 1. Received: label = '0.5' at f.csv:2."),
        ("1;0.5;2", "HIGGS rows need 3 columns. Received: 1 at f.csv:2."),
        ('1,"0.5,2', "Values must be numbers. Received: x = '\"0.5' at f.csv:2."),
        ("1,+-2,2", "Values must be numbers. Received: x = '+-2' at f.csv:2."),
        ("1,3.4028235e38,x", "Values must be numbers. Received: y = 'x' at f.csv:2."),
        ("\xff,0.5,2", "Values must be numbers. Received: label = 'ÿ' at f.csv:2."),
    ],
)
def test_bad_row_names_file_line_rule_and_value_and_leaves_the_others(line, message):
    rows = parse(f"1,0.1,0.2\n{line}\n0,0.3,0.4\n")
    [bad] = rows.bad
    assert str(bad).startswith(message)
    assert rows.values.tolist() == np.float32([[1, 0], [0.1, 0.3], [0.2, 0.4]]).tolist()
    assert rows.numbers.tolist() == [0, 2]


def test_two_short_rows_that_add_up_to_a_whole_one_are_still_bad():
    assert [bad.line for bad in parse("1,2\n3,1,2,3\n").bad] == [1, 2]


def test_values_are_rounded_once_from_the_text():
    # The float64 nearest to this text lies halfway between two float32: rounding twice would go the wrong way.
    text = "1.00000005960464477540"
    assert parse(f"0,{text},0\n").values[1, 0] == np.float32(1.0000001)


def test_rows_written_by_higgs_format_are_read_back_exactly():
    expected = make_rows(50)
    columns = tuple(f"c{index}" for index in range(29))
    assert np.array_equal(parse(to_csv(expected), columns=columns).values, expected.T)
