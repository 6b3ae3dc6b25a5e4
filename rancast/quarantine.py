"""How a set-aside row is written down: where it came from, the rules it broke, and no secrets."""

import json
import math
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rancast.row_rules import Mask

COLUMNS = ("blob", "line", "column", "rule", "value", "record")


class Finding(NamedTuple):
    """A rule, the column that it is about ("" for the whole row), and the rows that broke it."""

    rule: str
    column: str
    broken: Mask


def quarantine(
    rows: pd.DataFrame, findings: list[Finding], columns: list[str], is_private: bool
) -> pd.DataFrame:
    """Return one quarantine row for each of `rows`, which all broke a finding or more.

    `rows` is a typed frame with `_blob` and `_line`; the masks of the findings are over `rows`, in
    the order in which the rules count. Column and value are those of the first rule broken. Where
    `is_private`, cells are told by their shape and records are left out.
    """
    rule = np.full(len(rows), "", dtype=object)
    column, value = rule.copy(), rule.copy()
    for finding in findings:
        first = finding.broken & (rule == "")
        also = finding.broken & ~first
        rule[also] = rule[also] + f"; {finding.rule}"
        rule[first], column[first] = finding.rule, finding.column
        if finding.column:
            cells = rows.loc[first, finding.column].to_numpy(dtype=object)
            value[first] = [_shown(cell, is_private) for cell in cells]
    record: Any = "" if is_private else _records(rows[columns])
    return as_quarantine(
        {
            "blob": rows["_blob"].to_numpy(),
            "line": rows["_line"].to_numpy(),
            "column": column,
            "rule": rule,
            "value": value,
            "record": record,
        }
    )


def as_quarantine(values: dict[str, Any]) -> pd.DataFrame:
    """Return a frame with the quarantine's columns and types from equally long columns."""
    frame = pd.DataFrame(values, columns=list(COLUMNS))
    return frame.astype({name: "int64" if name == "line" else "str" for name in COLUMNS})


def shape(text: str) -> str:
    """Tell what a cell looks like without telling what it is: "15 digits", "8 letters", "empty"."""
    kinds = {"digits": text.isdigit(), "letters": text.isalpha()}
    kind = next((name for name, is_all in kinds.items() if is_all), "characters")
    return f"{len(text)} {kind[:-1] if len(text) == 1 else kind}" if text else "empty"


def _shown(cell: Any, is_private: bool) -> str:
    plain = _plain(cell)
    text = "" if plain is None else plain if isinstance(plain, str) else json.dumps(plain)
    return shape(text) if is_private else text


def _records(frame: pd.DataFrame) -> Any:
    """Return each row as JSON with sorted keys; empty cells are null, times ISO 8601.

    Column by column, since all rows of a refused partition go through here.
    """
    parts: list[Any] = []
    for name in sorted(frame.columns):
        parts += [("," if parts else "{") + json.dumps(name, ensure_ascii=False) + ":"]
        parts += [_json_cells(frame[name])]
    return pc.binary_join_element_wise(*parts, "}", "").to_pandas()


def _json_cells(values: "pd.Series[Any]") -> Any:
    """Return a column's cells as JSON texts, an Arrow array of strings."""
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        # texts and times repeat, so that only the distinct ones are encoded
        codes, distinct = pd.factorize(values)
        texts = [json.dumps(_plain(value), ensure_ascii=False) for value in distinct]
        return pa.array([*texts, "null"], pa.string()).take(pa.array(codes % (len(texts) + 1)))
    cells = pa.array(values, from_pandas=True)
    texts = pc.cast(cells, pa.string())
    if pa.types.is_floating(cells.type):
        # JSON has no infinity
        texts = pc.if_else(
            pc.is_inf(cells), pc.binary_join_element_wise('"', texts, '"', ""), texts
        )
    return pc.fill_null(texts, "null")


def _plain(cell: Any) -> Any:
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, float) and not math.isfinite(cell):
        # JSON has no NaN and no infinity
        return None if math.isnan(cell) else str(cell)
    return cell
