"""Cells of text into values: exact, or rejected with the rule and the value."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.datasets import Dataset
from tests.rancast.feeds import CELLS, HEADER, cells, read, reject, texts, with_column

STAMP = b"2024-03-01T00:05:00Z"


def column(data_type: str, *raw: str, **more: Any) -> pd.Series:
    """Read cells as a column of some type, none of them rejected."""
    pulled = read(lines(*raw), with_column("x", type=data_type, **more))
    assert pulled.rejected.empty, pulled.rejected[["rule", "value"]].values
    return pulled.typed["x"]


def refused(data_type: str, raw: str, **more: Any) -> str:
    """Read one cell that is rejected and return the rule; its value is shown as it is."""
    found = reject(lines("", raw, ""), with_column("x", type=data_type, **more))
    assert (found["column"], found["line"], found["value"]) == ("x", 3, raw)
    return str(found["rule"])


def lines(*raw: str) -> bytes:
    """A file with the column x."""
    quoted = ('"' + cell.replace('"', '""') + '"' for cell in raw)
    rows = (STAMP + b",A,1,," + cell.encode() + b"\n" for cell in quoted)
    return HEADER.replace(b"\n", b",x\n") + b"".join(rows)


def test_numbers_are_read_exactly() -> None:
    """As Python would read them, signs, exponents and blanks around them included."""
    raw = ["1", "+1.5", "-.5", "1.", "1e3", "1E-400", " 7 ", "0.1", "2.2250738585072014e-308"]
    assert column("float", *raw).tolist() == [float(cell) for cell in raw]


@pytest.mark.parametrize(
    "raw",
    ["1,5", "1.000,5", "nan", "NaN", "inf", "-Infinity", "1e400", "-1e400", "0x1F", "1_000", "١"]
    + ["-", "NULL", "None", "N/A", "#N/A", "12 ms", "1 2", "--1", "1e", ".", "1d", "True"],
)
def test_what_is_no_finite_number_is_refused(raw: str) -> None:
    """No decimal comma, no missing mark that is not listed, nothing that is not finite."""
    assert refused("float", raw) == "x is not a finite number"


def test_missing_marks_are_those_listed() -> None:
    """An empty cell always; 'NULL' here, and not in another column."""
    values = column("float", "", "-", "NULL", " - ", "5", missing=["-", "NULL"])
    assert values.isna().tolist() == [True, True, True, True, False]


def test_a_mark_that_is_a_number_covers_its_spellings() -> None:
    """-200 stands for -200.0 too, and is compared before the unit is converted."""
    values = column("float", "-200", "-200.0", "-2e2", "-20", missing=["-200"], scale=10)
    assert values.tolist()[3] == -200
    assert values.isna().tolist() == [True, True, True, False]


def test_namibia_is_not_missing() -> None:
    """NA, None, null and nan are words like any other in a column of strings."""
    raw = ["NA", "None", "null", "nan", "N/A", "0049123", "1e5", "<NA>"]
    assert column("string", *raw).tolist() == raw


def test_identifiers_keep_every_digit() -> None:
    """Leading zeros and numbers beyond floating-point precision stay as they are."""
    raw = ["272011234567890123456", "00353861234567", "0"]
    assert column("string", *raw).tolist() == raw


def test_units_are_converted() -> None:
    """kbit/s to Mbit/s by a scale, degrees Fahrenheit to Celsius with an offset, exactly."""
    assert column("float", "9", "1234", scale=0.001).tolist() == [0.009, 1.234]
    celsius = column("float", "212", "32", scale=0.5555555555555556, offset=-17.77777777777778)
    assert np.allclose(celsius, [100, 0])


def test_a_unit_that_overflows_is_refused() -> None:
    """What is finite as delivered may not be in our unit."""
    assert refused("float", "1e308", scale=1000) == "x is not a finite number"


def test_whole_numbers_are_exact() -> None:
    """All 64 bits, and '3.0', as programs write whole numbers beside missing ones."""
    values = column(
        "integer", "9223372036854775807", "-9223372036854775808", "3.0", "+4", "", "007"
    )
    assert values.dtype == "Int64"
    assert values.tolist() == [2**63 - 1, -(2**63), 3, 4, pd.NA, 7]


@pytest.mark.parametrize("raw", ["3.5", "1e3", "0x10", "one", "1 000", "1,0"])
def test_what_is_no_whole_number_is_refused(raw: str) -> None:
    """Never rounded."""
    assert refused("integer", raw) == "x is not a whole number"


@pytest.mark.parametrize("raw", ["9223372036854775808", "-9223372036854775809", "9" * 90])
def test_a_number_of_more_than_64_bits_is_refused(raw: str) -> None:
    """It is an identifier, and those are strings."""
    assert refused("integer", raw) == "x does not fit into 64 bits"


def test_truth_values() -> None:
    """In the usual spellings; others by `values`."""
    raw = ["true", "FALSE", "1", "0", "Yes", "no", "", "J"]
    values = column("boolean", *raw, values={"J": "true"})
    assert values.dtype == "boolean"
    assert values.tolist() == [True, False, True, False, True, False, pd.NA, True]
    assert refused("boolean", "2") == "x is none of true, 1, yes, false, 0, no"


def test_spellings_are_mapped() -> None:
    """Listed ones change, others stay, and one can be mapped to nothing."""
    values = column("string", "LTE", "4g", "?", "5G", values={"LTE": "4G", "4g": "4G", "?": ""})
    assert values.tolist() == ["4G", "4G", np.nan, "5G"]


def test_a_key_is_never_missing() -> None:
    """A row that cannot be told from others is rejected; a missing measurement is not."""
    found = reject(HEADER + STAMP + b",,1,\n" + STAMP + b",A,,\n")
    assert (found["line"], found["rule"]) == (2, "cell_id is missing")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives(number: float) -> None:
    """What Python writes is read back, bit for bit."""
    assert column("float", repr(number)).tolist() == [number]


def stamps(*raw: str, **time: Any) -> pd.DataFrame:
    """Read stamps, each of them good."""
    rows = (f"{stamp},A,1,\n".encode() for stamp in raw)
    pulled = read(HEADER + b"".join(rows), timed(**time))
    assert pulled.rejected.empty, pulled.rejected[["rule", "value"]].values
    return pulled.typed


def timed(**time: Any) -> Dataset:
    """The dataset of cells whose stamps are of another form."""
    return cells(time=CELLS["time"] | time)


def bad_stamp(raw: str, **time: Any) -> str:
    """Read one stamp that is rejected and return the rule, without the column's name."""
    found = reject(HEADER + f"{raw},A,1,\n".encode(), timed(**time))
    assert found["value"] == raw
    return str(found["rule"]).removeprefix("timestamp ")


def test_iso_stamps_are_utc() -> None:
    """With T or a blank, any offset or none, seconds and fractions or none; together, too."""
    raw = ["2024-03-01T00:05:00Z", "2024-03-01 01:05:00+01:00", "2024-03-01T00:05"]
    raw += ["2024-02-29 19:05:00.000000 -0500", "2024-03-01T00:05:00.000000000+00"]
    values = stamps(*raw)["timestamp"]
    assert values.dtype == "datetime64[us, UTC]"
    assert set(values) == {pd.Timestamp("2024-03-01T00:05Z")}


@pytest.mark.parametrize(
    "raw",
    ["01/03/2024 00:05", "2024-3-1 00:05", "20240301T000500Z", "1709251500", "now", "today", "NaT"]
    + ["2024-03-01", "2024-03", "00:05:00", "2024-02-30T00:00:00Z", "2024-03-01T24:00:00Z"]
    + ["2024-03-01T00:60:00Z", "2024-03-01T00:00:61Z", "2024-03-01T00:05:00 Europe/Dublin"]
    + ["2024-03-01T00:05:00+0", "2024-03-01T00:05:00Z x", "2024-03-01T00:05:00.", "March 1"],
)
def test_other_forms_are_refused(raw: str) -> None:
    """Never guessed, and never today."""
    assert bad_stamp(raw) == "is not an ISO 8601 time"


def test_local_stamps_need_a_zone() -> None:
    """An IANA zone, in winter and in summer time."""
    values = stamps("2024-01-01 12:00", "2024-07-01 12:00", timezone="Europe/Dublin")["timestamp"]
    assert texts(values) == ["2024-01-01 12:00:00+00:00", "2024-07-01 11:00:00+00:00"]


def test_a_time_that_the_clock_skipped_is_refused() -> None:
    """In spring an hour does not exist."""
    assert bad_stamp("2024-03-31 01:30", timezone="Europe/Dublin") == (
        "does not exist in Europe/Dublin, where the clock went forward"
    )


def test_a_time_that_the_clock_repeats_is_refused_or_resolved() -> None:
    """In autumn an hour comes twice; the dataset may say which of them is meant."""
    raw, zone = "2024-10-27 01:30", "Europe/Dublin"
    assert bad_stamp(raw, timezone=zone) == (
        "happens twice in Europe/Dublin, where the clock went back"
    )
    for which, hour in (("first", "00:30"), ("second", "01:30")):
        values = stamps(raw, timezone=zone, ambiguous=which)["timestamp"]
        assert texts(values) == [f"2024-10-27 {hour}:00+00:00"]
    assert texts(stamps(f"{raw}+01:00", timezone=zone)["timestamp"]) == [
        "2024-10-27 00:30:00+00:00"
    ]


def test_a_declared_format_is_the_only_one() -> None:
    """Day and month do not change places, and ISO 8601 is another format."""
    form = "%d/%m/%Y %H:%M"
    assert texts(stamps("01/03/2024 00:05", format=form)["timestamp"]) == [
        "2024-03-01 00:05:00+00:00"
    ]
    for raw in ("03/13/2024 00:05", "2024-03-01T00:05:00Z", "01/03/2024", "now", "today"):
        assert bad_stamp(raw, format=form) == f"is not a time of the form {form}"


def test_a_format_can_hold_an_offset() -> None:
    """Which then goes before the dataset's zone."""
    values = stamps("20240301 010500 +0100", format="%Y%m%d %H%M%S %z", timezone="Asia/Shanghai")
    assert texts(values["timestamp"]) == ["2024-03-01 00:05:00+00:00"]


def test_a_digit_lost_is_no_other_time() -> None:
    """Without separators, pandas reads 2024030100 1 as one minute past midnight."""
    assert bad_stamp("20240301001", format="%Y%m%d%H%M").startswith("is not a time of the form")


def test_mixed_formats_are_told_apart() -> None:
    """The rows of the declared form are read, the others rejected, line by line."""
    rows = b"2024-03-01T00:05:00Z,A,1,\n01/03/2024 00:10,A,1,\n2024-03-01T00:15:00Z,A,1,\n"
    assert reject(HEADER + rows)["line"] == 3


def test_periods_stamped_at_their_end_are_moved_to_their_start() -> None:
    """00:00 of one day is then the last period of the day before."""
    values = stamps("2024-03-02T00:00:00Z", stamped_at="end")["timestamp"]
    assert texts(values) == ["2024-03-01 23:55:00+00:00"]


def test_dates_are_times_of_daily_data_only() -> None:
    """Midnight where a period is a day; elsewhere a stamp that lost its time."""
    assert texts(stamps("2024-03-01", period="1d")["timestamp"]) == ["2024-03-01 00:00:00+00:00"]
    assert bad_stamp("2024-03-01", period="1h") == "is not an ISO 8601 time"


@pytest.mark.parametrize(
    "raw", ["0001-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "9999-12-31 00:00"]
)
def test_absurd_years_are_refused(raw: str) -> None:
    """Zero dates and 'forever' are marks of some system, not measurements."""
    assert bad_stamp(raw) == "lies outside of the years 1900 to 2199"


def test_a_missing_time_is_refused() -> None:
    """A row without a time belongs to no day."""
    assert bad_stamp("") == "is missing"
