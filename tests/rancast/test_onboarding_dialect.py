"""The dialect of CSV files: what is found, and what is refused with the next step."""

import pytest

from rancast.errors import DataError
from tests.rancast.drafts import csv, drafted, stamps

ROWS = [(at, cell, place + 0.5) for place, at in enumerate(stamps(20)) for cell in "AB"]
PLAIN = csv("timestamp,cell_id,load", ROWS)


def test_the_usual_form_needs_no_format() -> None:
    """Commas, UTF-8 and a header are the defaults; the comment says that they were seen."""
    text = drafted(PLAIN).dataset_yaml
    assert "\nformat:" not in text and "cut at each comma, 41 of 41 lines have 3 fields" in text


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
def test_delimiters(delimiter: str) -> None:
    """The character that cuts all lines alike."""
    header = delimiter.join(["timestamp", "cell_id", "load"])
    form = drafted(csv(header, ROWS, delimiter)).dataset.format
    assert form.delimiter == delimiter


def test_semicolons_and_decimal_commas_behind_a_byte_order_mark() -> None:
    """What a spreadsheet exports in half of Europe."""
    rows = [(at, cell, f"{load},5") for (at, cell, _), load in zip(ROWS, range(40), strict=True)]
    text = csv("Zeit;Zelle;Last", rows, ";")
    found = drafted(b"\xef\xbb\xbf" + text.encode())
    assert (found.dataset.format.delimiter, found.dataset.format.decimal) == (";", ",")
    assert found.pulled.typed["last"].tolist()[:2] == [0.5, 1.5]
    assert "1 with a byte order mark" in found.dataset_yaml


def test_another_encoding_is_guessed_and_said() -> None:
    """Bytes that are not UTF-8: a guess, with the advice to look at a name with an accent."""
    rows = [(at, f"Órán Mór Straße {cell}", load) for at, cell, load in ROWS]
    found = drafted(csv("timestamp,site_name,load", rows).encode("cp1252"))
    assert "Órán Mór Straße A" in set(found.pulled.typed["site_name"])
    assert "check a name with an accent" in " ".join(found.dataset_yaml.split("\n#  "))


def test_files_without_a_header_get_names() -> None:
    """A number or a time in the first line: the columns are counted."""
    found = drafted(csv("", ROWS))
    assert found.dataset.format.names == ("column_1", "column_2", "column_3")
    assert found.dataset.key == ("column_2", "column_1")
    assert "cell 1 of the first line is a number or a time, so it is no header" in (
        found.dataset_yaml
    )


def test_a_first_line_of_words_that_return_is_no_header() -> None:
    """Words that stand again below are cells."""
    found = drafted(csv("", [("north", "up"), ("south", "down"), ("north", "up")]))
    assert not found.dataset.format.header


def test_files_without_a_last_line_break_are_accepted() -> None:
    """Where the vendor's tool never writes one, the last record is not taken for cut short."""
    assert not drafted(PLAIN.rstrip("\n")).dataset.format.final_newline
    assert drafted(PLAIN).dataset.format.final_newline


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN.encode("utf-16"), "a.csv is UTF-16; have it delivered as UTF-8"),
        (b"PK\x03\x04rest", "a.csv is a zip archive or a spreadsheet"),
        (b" \n", "a.csv is empty; leave it out"),
        (b"timestamp,cell\n", "hold no record, only headers"),
        (("Report of March\n\n" + PLAIN).encode(), "starts with 1 line of another form"),
        (b"a,a,b\n1,2,3\n", "has a column without a name, or a name twice, among its 3"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_next_step(content: bytes, message: str) -> None:
    """One sentence that names the file and says what to do; no draft is made."""
    with pytest.raises(DataError, match=message):
        drafted(content)
