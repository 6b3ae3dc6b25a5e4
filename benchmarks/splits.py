"""One candidate under three ways to hold rows out, on real data: `python -m benchmarks.splits`.

A random split, one by entity (trace, cell) and the product's own, by time with its embargo; errors
beside those of the last value on the same rows. The tables are those that the use cases under
examples/ train on, and parameters are those of their YAML, not searched for, so that nothing but
the split differs. Random and by entity, a part as large as the holdout is drawn three times.
Markdown goes to stdout, for docs/results.md.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.leakage_audit import read_days, table_of
from benchmarks.real_data import CHECKOUT, DATA, JOBS, lay_out
from rancast import baselines, models
from rancast.datasets import load_dataset
from rancast.fit_view import Candidate
from rancast.metrics import find_metric
from rancast.search import Rows, fit_rows
from rancast.use_cases import UseCase, load_use_case

DRAWS = 3
# what costs a minute per fit says no more about splits
LEFT_OUT = ("random_forest",)


class Error(NamedTuple):
    """The error of one forecast on all rows that were held out."""

    mae: float
    r2: float


class Result(NamedTuple):
    """One candidate and the last value under one way to hold rows out."""

    way: str
    rows: int
    model: Error
    last_value: Error


def main() -> None:
    """Compare the splits of every table, and print what is found."""
    if not (DATA / "lay_out.py").is_file():
        sys.exit(f"The public data sets are not at {DATA}; put them there, with their lay_out.py.")
    with tempfile.TemporaryDirectory(prefix="rancast-splits-") as folder:
        lay_out(DATA, Path(folder))
        for job in JOBS.values():
            home = CHECKOUT / "examples" / job.home
            for name in job.use_cases:
                case = load_use_case(home, name)
                dataset = load_dataset(home, case.dataset)
                table = table_of(read_days(Path(folder), dataset), case, dataset, job.as_of)
                print(f"#### {name}, as of {job.as_of}\n", flush=True)
                tell(table, case)


def tell(table: pd.DataFrame, case: UseCase) -> None:
    """Print one line per candidate and way."""
    print("| candidate | held out | rows | MAE | of the last value's | R² | last value's R² |")
    print("|---|---|--:|--:|--:|--:|--:|", flush=True)
    for candidate in case.candidates:
        if candidate.name in LEFT_OUT:
            continue
        for result in compare(table, candidate, case):
            model, last = result.model, result.last_value
            cells = (
                candidate.name,
                result.way,
                f"{result.rows:,}",
                f"{model.mae:.4g}",
                f"{model.mae / last.mae:.1%}",
                f"{model.r2:.3f}",
                f"{last.r2:.3f}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)
    print(flush=True)


def compare(table: pd.DataFrame, candidate: Candidate, case: UseCase) -> Iterator[Result]:
    """Yield how one candidate does under each way, all with about as many rows held out."""
    for way, parts in ways(table, case).items():
        started, held = time.monotonic(), []
        for part in parts:
            split = table.assign(split=part)
            held.append(forecasts(split, candidate, case))
        rows = pd.concat(held, ignore_index=True)
        seconds = time.monotonic() - started
        print(f"{case.name}, {candidate.name}, {way}: {seconds:.1f} s", file=sys.stderr, flush=True)
        yield Result(way, len(rows), error(rows, "prediction"), error(rows, "prediction_last"))


def forecasts(table: pd.DataFrame, candidate: Candidate, case: UseCase) -> pd.DataFrame:
    """Return y, the candidate's prediction and the last value, of the rows held out."""
    parts = [table[table["split"] == part].reset_index(drop=True) for part in ("train", "holdout")]
    names = case.features.names()
    train, held = (
        Rows(models.inputs(part, names, case.features.categories), part["y"], part["time"])
        for part in parts
    )
    with threadpool_limits(1):
        fitted = fit_rows(candidate, {}, train, case.fit_view())
    last = baselines.predictions(table, case.problem)["last_value"]
    found = parts[1][["entity", "time", "y"]].assign(
        prediction=models.predict_prepared(fitted, held.X, case.problem)
    )
    keys = ["entity", "time"]
    return found.merge(last[[*keys, "prediction"]], on=keys, suffixes=("", "_last"))


def ways(table: pd.DataFrame, case: UseCase) -> dict[str, list["pd.Series[str]"]]:
    """Return the columns that say train or holdout, by the way in which rows are held out."""
    wanted = int((table["split"] == "holdout").sum())
    random = np.random.default_rng(case.seed)
    drawn = [_marked(table, random.permutation(len(table))[:wanted]) for _ in range(DRAWS)]
    entities = [_whole_entities(table, wanted, random) for _ in range(DRAWS)]
    return {
        "random rows": drawn,
        f"whole {case.entity}s": entities,
        "the latest days, with embargo": [table["split"]],
    }


def _whole_entities(
    table: pd.DataFrame, wanted: int, random: np.random.Generator
) -> "pd.Series[str]":
    """Hold out entities, drawn until they have as many rows as are wanted."""
    sizes = table["entity"].value_counts(sort=False)
    names = random.permutation(sizes.index.to_numpy())
    before = sizes.reindex(names).cumsum().shift(fill_value=0)
    chosen = before.index[before < wanted]
    return _marked(table, np.flatnonzero(table["entity"].isin(chosen)))


def _marked(table: pd.DataFrame, held: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> pd.Series:
    parts = np.full(len(table), "train", dtype=object)
    parts[held] = "holdout"
    return pd.Series(parts, index=table.index, dtype="str")


def error(rows: pd.DataFrame, column: str) -> Error:
    """Return the error of the forecasts in a column."""
    y, forecast = (rows[name].to_numpy(dtype=np.float64) for name in ("y", column))
    mae, r2 = (find_metric(name, "regression")(y, forecast) for name in ("mae", "r2"))
    return Error(mae, r2)


if __name__ == "__main__":
    main()
