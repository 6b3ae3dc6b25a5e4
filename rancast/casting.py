"""Cells of text into typed values: exact or refused, with the rule that a refused cell broke."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rancast.datasets import Column, Dataset
from rancast.records import CELL_LIMIT
from rancast.timestamps import Mask, parse_times

# RE2 as pyarrow has it: ASCII digits only, no underscores, no hexadecimal, no nan, no inf
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
INTEGER = r"^[+-]?[0-9]+(\.0*)?$"
TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no")


class Cast(NamedTuple):
    """One column of typed values and, per rule that was broken, the rows that broke it."""

    values: pd.Series
    faults: dict[str, Mask]


class _Parsed(NamedTuple):
    """Values before it is known which may be missing; `faults` read on after the column's name."""

    values: Any
    faults: dict[str, Mask]


def cast_column(
    cells: Any, name: str, dataset: Dataset, is_iso: bool = False, decimal: str = "."
) -> Cast:
    """Turn a pyarrow array of text into the type that the dataset gives to column `name`.

    Blanks around a cell are not part of it. An empty cell, and a mark listed in `missing`, is a
    missing value, which the key and the time cannot have. Cells that break a rule are missing in
    the result, too: their rows are to be rejected. `decimal` is the decimal mark of numbers.
    """
    column = dataset.columns[name]
    text = pc.utf8_trim_whitespace(cells)
    is_long = _mask(pc.greater(pc.utf8_length(text), CELL_LIMIT))
    text = pc.if_else(pa.array(is_long), None, text) if is_long.any() else text
    text = _without_marks(text, column, decimal)
    if column.values:
        text = _respelled(text, column.values)
    if column.type in ("float", "integer"):
        text = _with_point(text, decimal)
    parsed = _parse(text, name, dataset, is_iso)
    faults = {f"has more than {CELL_LIMIT:,} characters": is_long, **parsed.faults}
    values = pd.Series(parsed.values)
    if name in dataset.mandatory:
        is_refused = np.logical_or.reduce(list(faults.values()))
        faults["is missing"] = values.isna().to_numpy() & ~is_refused
    return Cast(
        values, {f"{name} {rule}": broken for rule, broken in faults.items() if broken.any()}
    )


def _parse(text: Any, name: str, dataset: Dataset, is_iso: bool) -> _Parsed:
    column = dataset.columns[name]
    if column.type == "timestamp":
        return _parse_times(text, name, dataset, is_iso)
    return _PARSERS[column.type](text, column)


def _with_point(text: Any, decimal: str) -> Any:
    """Return numbers with a decimal point; a point in one with a decimal comma becomes a comma.

    So 1.234, which may be a thousand or one and a bit, is no number where commas are decimal.
    """
    if decimal == ".":
        return text
    for old, new in ((".", "\0"), (",", "."), ("\0", ",")):
        text = pc.replace_substring(text, old, new)
    return text


def _without_marks(text: Any, column: Column, decimal: str) -> Any:
    """Return the cells with null for each that means 'no value'."""
    marks = pa.array(["", *column.missing], type=text.type)
    is_missing = pc.is_in(text, value_set=marks)
    if column.type in ("float", "integer") and (numbers := _numeric_marks(column)):
        plain = _with_point(text, decimal)
        is_number = pc.match_substring_regex(plain, NUMBER)
        values = pc.cast(pc.if_else(is_number, plain, None), pa.float64())
        is_mark = pc.is_in(values, value_set=pa.array(numbers, type=pa.float64()))
        is_missing = pc.or_(is_missing, is_mark)
    return pc.if_else(is_missing, None, text)


def _numeric_marks(column: Column) -> list[float]:
    return [float(mark) for mark in column.missing if re.search(NUMBER, mark)]


def _respelled(text: Any, spellings: dict[str, str]) -> Any:
    encoded = pc.dictionary_encode(text)
    words = [spellings.get(word, word) or None for word in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(
        encoded.indices, pa.array(words, type=text.type)
    ).dictionary_decode()


def _parse_string(text: Any, column: Column) -> _Parsed:
    return _Parsed(pd.array(text, dtype="str"), {})


def _parse_float(text: Any, column: Column) -> _Parsed:
    try:
        numbers = pc.cast(text, pa.float64())
    except pa.ArrowException:
        is_number = pc.match_substring_regex(text, NUMBER)
        numbers = pc.cast(pc.if_else(is_number, text, None), pa.float64())
    values = _in_our_unit(numbers.to_numpy(zero_copy_only=False), column)
    is_refused = _mask(pc.is_valid(text)) & ~np.isfinite(values)
    if is_refused.any():
        values = np.where(is_refused, np.nan, values)
    return _Parsed(values, {"is not a finite number": is_refused})


def _in_our_unit(values: npt.NDArray[np.float64], column: Column) -> npt.NDArray[np.float64]:
    if (column.scale, column.offset) == (1.0, 0.0):
        return values
    divisor = 1 / column.scale
    with np.errstate(over="ignore", invalid="ignore"):
        # 9 / 1000 is 0.009, 9 * 0.001 is 0.009000000000000001
        scaled = values / divisor if divisor.is_integer() else values * column.scale
        return scaled + column.offset


def _parse_integer(text: Any, column: Column) -> _Parsed:
    is_present = _mask(pc.is_valid(text))
    is_integer = _mask(pc.match_substring_regex(text, INTEGER))
    digits = pc.replace_substring_regex(text, r"^\+|\.0*$", "")
    digits = pc.if_else(pa.array(is_integer), digits, None)
    is_beyond = np.zeros(len(text), dtype=bool)
    try:
        values = pc.cast(digits, pa.int64())
    except pa.ArrowException:
        fits = [word is None or -(2**63) <= _whole(word) < 2**63 for word in digits.to_pylist()]
        is_beyond = ~np.array(fits, dtype=bool)
        values = pc.cast(pc.if_else(pa.array(is_beyond), None, digits), pa.int64())
    return _Parsed(
        # Not from values with nulls, which numpy would turn into floats
        pd.arrays.IntegerArray(
            values.fill_null(0).to_numpy(zero_copy_only=False), _mask(values.is_null())
        ),
        {
            "is not a whole number": is_present & ~is_integer,
            "does not fit into 64 bits": is_beyond,
        },
    )


def _whole(digits: str) -> int:
    """Return the number, or one that fits nowhere for more digits than int() takes."""
    return int(digits) if len(digits.lstrip("-0")) <= 19 else 2**64


def _parse_boolean(text: Any, column: Column) -> _Parsed:
    words = pc.utf8_lower(text)
    is_true = _mask(pc.is_in(words, value_set=pa.array(TRUE, type=text.type)))
    is_false = _mask(pc.is_in(words, value_set=pa.array(FALSE, type=text.type)))
    is_known = is_true | is_false
    return _Parsed(
        pd.arrays.BooleanArray(is_true, ~is_known),
        {f"is none of {', '.join((*TRUE, *FALSE))}": _mask(pc.is_valid(text)) & ~is_known},
    )


def _parse_times(text: Any, name: str, dataset: Dataset, is_iso: bool) -> _Parsed:
    clock, is_clock = dataset.time, name == dataset.time.column
    is_daily = clock.period is None or clock.period % timedelta(days=1) == timedelta(0)
    times = parse_times(text, clock, is_iso, allows_dates=is_daily or not is_clock)
    if is_clock and clock.stamped_at == "end" and clock.period is not None:
        return _Parsed(times.values - clock.period, times.faults)
    return _Parsed(times.values, times.faults)


def _mask(values: Any) -> npt.NDArray[np.bool_]:
    """Return a pyarrow array of booleans as a mask; null is false."""
    mask: npt.NDArray[np.bool_] = values.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


_PARSERS: dict[str, Callable[[Any, Column], _Parsed]] = {
    "string": _parse_string,
    "float": _parse_float,
    "integer": _parse_integer,
    "boolean": _parse_boolean,
}
