"""KPIs as formulas over counters: at every level a sum of numerators over a sum of denominators.

A ratio of cells is no mean of their ratios: the one with few calls would count as much as the one
with many. So what travels from level to level (cell, site, region; period, hour, day) are *parts*,
a numerator and a denominator apart, which add up in any order; the ratio is taken last.

A row in which a needed counter is missing adds to neither part: absent is not zero. How much was
seen is a part, too.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.datasets import Dataset, Kpi
from rancast.expressions import Expression

Floats = NDArray[np.float64]
Kpis = Mapping[str, Kpi]


def numerator_of(name: str) -> str:
    """Name the column of a KPI's numerators."""
    return f"{name}.numerator"


def denominator_of(name: str) -> str:
    """Name the column of a KPI's denominators; a KPI that is a sum has none."""
    return f"{name}.denominator"


def seen_of(name: str) -> str:
    """Name the column that counts the rows whose counters were all there."""
    return f"{name}.seen"


def with_parts(rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return curated rows with each KPI of the row itself, and the parts it is made of.

    Beside the KPI as float64: numerator and denominator as float64, both NaN where either is
    unknown, and `seen`, 1 where both are known, else 0.
    """
    columns: dict[str, Floats | NDArray[np.int64]] = {}
    for name, kpi in dataset.kpis.items():
        columns |= _parts_of_rows(rows, name, kpi)
    return with_values(rows.assign(**columns), dataset.kpis)


def _parts_of_rows(
    rows: pd.DataFrame, name: str, kpi: Kpi
) -> dict[str, Floats | NDArray[np.int64]]:
    numerator = Expression(kpi.numerator).amounts(rows)
    if kpi.denominator is None:
        is_seen = ~np.isnan(numerator)
        return {numerator_of(name): numerator, seen_of(name): is_seen.astype(np.int64)}
    denominator = Expression(kpi.denominator).amounts(rows)
    is_seen = ~(np.isnan(numerator) | np.isnan(denominator))
    return {
        numerator_of(name): np.where(is_seen, numerator, np.nan),
        denominator_of(name): np.where(is_seen, denominator, np.nan),
        seen_of(name): is_seen.astype(np.int64),
    }


def aggregate(parts: pd.DataFrame, by: Sequence[str], kpis: Kpis) -> pd.DataFrame:
    """Add parts up by some columns, and return these, the sums and each KPI, sorted by `by`.

    `parts` come from `with_parts`, or from here: sums of sums are the sums. Rows of which a column
    in `by` is missing are a group of their own, so that nothing is lost on the way up. A group of
    which nothing was seen has no parts and no KPI.
    """
    names = [column for name, kpi in kpis.items() for column in _sums_of(name, kpi)]
    counts = list(map(seen_of, kpis))
    grouped = parts.groupby(list(by), sort=True, dropna=False, observed=True)
    # the sum over no value is unknown, not zero
    sums = grouped[names].sum(min_count=1)
    sums[counts] = grouped[counts].sum().to_numpy()
    return with_values(sums.reset_index(), kpis)


def _sums_of(name: str, kpi: Kpi) -> Iterator[str]:
    yield numerator_of(name)
    if kpi.denominator is not None:
        yield denominator_of(name)


def with_values(parts: pd.DataFrame, kpis: Kpis) -> pd.DataFrame:
    """Return parts and each KPI beside them, NaN where nothing was seen or the denominator is 0."""
    columns: dict[str, Floats] = {}
    for name, kpi in kpis.items():
        numerator = parts[numerator_of(name)].to_numpy(dtype=np.float64)
        columns[name] = numerator
        if kpi.denominator is not None:
            columns[name] = quotient(numerator, parts[denominator_of(name)].to_numpy())
    return parts.assign(**columns)


def quotient(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> Floats:
    """Divide numbers: no denominator, no value, neither 0 nor infinity."""
    with np.errstate(all="ignore"):
        found = np.divide(numerator, denominator, dtype=np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def on_slots(
    rows: pd.DataFrame, slot: Sequence[str], time: str, kpis: Kpis, periods: int
) -> pd.DataFrame:
    """Add the parts of rows up over the periods of a coarser grid.

    `slot` are the columns that name a period of the grid and whose it is, `time` the one that names
    the dataset's own period, of which a period of the grid holds `periods`. Where less than the
    KPI's `observed` of them was seen, parts and KPI are missing: the part is not the whole.
    """
    found = aggregate(rows, slot, kpis)
    if periods <= 1:
        return found
    index = pd.MultiIndex.from_frame(found[list(slot)])
    for name, kpi in kpis.items():
        seen = rows[rows[seen_of(name)] > 0].drop_duplicates([*slot, time])
        counts = seen.groupby(list(slot)).size().reindex(index, fill_value=0).to_numpy()
        is_enough = counts >= np.ceil(kpi.observed * periods - 1e-9)
        found.loc[~is_enough, [name, *_sums_of(name, kpi)]] = np.nan
    return found
