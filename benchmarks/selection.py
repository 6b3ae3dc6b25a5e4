"""What a selection of features is worth: a training table fitted with each method and number.

Run `python -m benchmarks.selection USE_CASE`: the training table is that of `make ceilings`, of the
demo's simulated operator. `--table FILE` takes a table of the lake instead.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.ceilings import read_days, table_of
from rancast.candidates import fit
from rancast.errors import RancastError
from rancast.evaluation import columns_of
from rancast.feature_set import Select
from rancast.fit_view import Candidate
from rancast.metrics import find_metric
from rancast.settings import load_settings
from rancast.use_cases import UseCase, load_use_case

KEPT = (8, 15, 25)


def main(arguments: list[str] | None = None) -> int:
    """Print one line per candidate and selection; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection", description=__doc__)
    parser.add_argument("use_case")
    parser.add_argument("--table", type=Path, help="a training table as Parquet")
    parser.add_argument("--candidate", help="only this one")
    given = parser.parse_args(arguments)
    try:
        case = load_use_case(load_settings().home, given.use_case)
        table = pd.read_parquet(given.table) if given.table else table_of(case, read_days)
        print(f"{case.name}: {len(table):,} rows, {len(case.features.names())} features")
        print(f"{'candidate':24}{'method':13}{'kept':>5}{'folds':>9}{'holdout':>9}{'CPU s':>7}")
        for candidate in case.candidates:
            if given.candidate in (None, candidate.name):
                for select in selections(len(case.features.names())):
                    print(line(case, candidate, select, table), flush=True)
    except RancastError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def selections(features: int) -> Iterator[Select | None]:
    """Yield no selection, then each method with each number below that of the features."""
    yield None
    for method in ("filter", "l1", "permutation"):
        for keep in KEPT:
            if keep < features:
                yield Select.model_validate({"method": method, "keep": keep})


def line(case: UseCase, candidate: Candidate, select: Select | None, table: pd.DataFrame) -> str:
    """Fit and return a line: the mean score of the folds, that of the holdout, the seconds."""
    view = case.fit_view().model_copy(update={"select": select})
    # what takes no missing values stands before the estimator
    impute = candidate.impute or (select is not None and select.method != "permutation")
    chosen = candidate.model_copy(update={"select": True, "impute": impute})
    started = time.process_time()
    found = fit(table, chosen, view)
    seconds = time.process_time() - started
    score = find_metric(case.metric)(*columns_of(found.predictions))
    kept = len(found.card.selected or found.card.features)
    name = select.method if select else "none"
    return (
        f"{candidate.name:24}{name:13}{kept:5}{found.card.fold_score:9.4f}{score:9.4f}"
        f"{seconds:7.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
