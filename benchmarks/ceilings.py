"""Model quality beside the best that is possible, which a simulator knows: `make ceilings`.

It trains each use case on the demo's simulated operator by the product's own functions (reading,
features, table, fits), and takes what the best of the candidates says of its holdout, the best of
the trivial forecasts, and the truth on the same rows. No garbled rows are simulated, as they would
be quarantined. Markdown goes to stdout, for docs/results.md; names of use cases may be given.
"""

import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from rancast import baselines, candidates
from rancast.datasets import Dataset, load_dataset
from rancast.duplicates import deduplicate
from rancast.features import build
from rancast.groupings import groupings
from rancast.joins import Other
from rancast.metrics import find_metric, greater_is_better
from rancast.pseudonyms import pseudonymise
from rancast.reading import read_partition
from rancast.simulation import (
    Faults,
    Scale,
    raw_files,
    true_profiles,
    true_throughput,
    true_week_probabilities,
)
from rancast.simulation_network import Network
from rancast.simulation_truth import day_truth
from rancast.tables import assemble
from rancast.use_cases import UseCase, load_use_case
from rancast.windows import days_back, days_between, history_start

CHECKOUT = Path(__file__).resolve().parents[1]
SCALE = Scale(cells=20, days=120, customers=200, faults=Faults(corrupt_share=0))
KEY = b"pseudonyms of nobody, for a benchmark"
# the truth of a row of throughput costs a thousand random numbers
THROUGHPUT_ROWS = 4_000
# the truth of a day of customers costs seconds: every other day of the holdout
CUSTOMER_DAYS = 2

Days = dict[date, pd.DataFrame]


class Line(NamedTuple):
    """One use case beside its ceiling, all on the same rows."""

    use_case: str
    metric: str
    rows: int
    candidate: str
    baseline: str
    of_baseline: float
    of_model: float
    ceiling: float

    @property
    def share(self) -> float:
        """The model's share of the best possible; of errors, the smallest over the model's."""
        if self.metric == "adjusted_rand" or greater_is_better(self.metric):
            return self.of_model / self.ceiling
        return self.ceiling / self.of_model

    @property
    def way(self) -> float:
        """How much of the way from the baseline to the best that is possible the model goes."""
        return (self.of_model - self.of_baseline) / (self.ceiling - self.of_baseline)


def main() -> None:
    """Train each use case that has a truth, and print it beside that."""
    print(f"{SCALE.cells} cells, {SCALE.days} days, {SCALE.customers} customers\n")
    print("| use case | metric | rows | best baseline | model | best possible | share | way |")
    print("|---|---|--:|--:|--:|--:|--:|--:|", flush=True)
    for name in sys.argv[1:] or (*TRUTHS, *KINDS):
        started, case = time.monotonic(), load_use_case(CHECKOUT, name)
        print(text(line(case) if name in TRUTHS else profile_line(case)), flush=True)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


# --- tables -------------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def read_days(name: str) -> Days:
    """Return each simulated day of a dataset as it is curated."""
    dataset = load_dataset(CHECKOUT, name)
    blobs: dict[date, dict[str, bytes]] = {}
    for blob, data in raw_files(SCALE, [name]):
        day = date(*map(int, re.findall(r"=(\d+)", blob)))
        blobs.setdefault(day, {})[blob] = data
    return {day: _curated(files, dataset) for day, files in blobs.items()}


def _curated(files: dict[str, bytes], dataset: Dataset) -> pd.DataFrame:
    typed = read_partition(files, dataset, KEY).typed
    return deduplicate(typed, dataset).kept[list(dataset.columns)]


def table_of(case: UseCase, read: Callable[[str], Days]) -> pd.DataFrame:
    """Return the training table of a use case up to the end of the simulation."""
    datasets = {name: load_dataset(CHECKOUT, name) for name in case.datasets}
    own = datasets[case.dataset]
    history = days_between(history_start(case, SCALE.end), SCALE.end)
    days = read(own.name)
    features = [features_of(case, datasets, day, read) for day in history]
    used = [days[day] for day in history]
    return assemble(features, used, case.table_view(), own, SCALE.end).table


def features_of(
    case: UseCase, datasets: dict[str, Dataset], day: date, read: Callable[[str], Days]
) -> pd.DataFrame:
    """Return the features of one day, from the days that each dataset is looked back on."""
    seen = {
        name: _looking_back(read(name), day, days_back(case, dataset))
        for name, dataset in datasets.items()
    }
    others = {
        name: Other(dataset=datasets[name].as_delivered(), days=tuple(found))
        for name, found in seen.items()
        if name != case.dataset
    }
    joined = {name: list(seen[name].values()) for name in others}
    curated = list(seen[case.dataset].values())
    return build(curated, case.feature_view(), datasets[case.dataset], day, joined, others)


def _looking_back(days: Days, day: date, back: int) -> Days:
    return {one: days[one] for one in days if day - timedelta(days=back) <= one <= day}


# --- truths -------------------------------------------------------------------------------------

Truth = Callable[[pd.DataFrame, UseCase], pd.DataFrame]


def degradation(rows: pd.DataFrame, case: UseCase) -> pd.DataFrame:
    """Return the true probability of a breach at each row."""
    network = Network(SCALE)
    days = sorted(set(rows["time"].dt.date))
    truth = pd.concat([day_truth(network, day) for day in days], ignore_index=True)
    return truth.rename(columns={"cell_id": "entity", "timestamp": "time", "probability": "truth"})


def throughput(rows: pd.DataFrame, case: UseCase) -> pd.DataFrame:
    """Return the true median of what is forecast, at some of the rows."""
    some = rows.sample(min(THROUGHPUT_ROWS, len(rows)), random_state=case.seed).sort_index()
    at = some[["entity", "time"]].set_axis(["cell_id", "timestamp"], axis="columns")
    truth = true_throughput(SCALE, at, case.target.delay, case.target.within)
    return truth.set_axis(["entity", "time", "truth"], axis="columns")


def satisfaction(rows: pd.DataFrame, case: UseCase) -> pd.DataFrame:
    """Return the true probability of a bad score in the week after some of the days."""
    days: list[date] = sorted(set(rows["time"].dt.date))[::CUSTOMER_DAYS]
    truth = true_week_probabilities(SCALE, days)
    who = pseudonymise(truth["customer_id"].astype("str"), "subscriber", KEY)
    return pd.DataFrame({"entity": who, "time": truth["timestamp"], "truth": truth["probability"]})


TRUTHS: dict[str, Truth] = {
    "network_degradation": degradation,
    "throughput_forecast": throughput,
    "throughput_forecast_24h": throughput,
    "customer_experience": satisfaction,
}


# --- models beside them -------------------------------------------------------------------------


def line(case: UseCase) -> Line:
    """Return the best candidate and the best baseline beside the truth on the same rows."""
    table = table_of(case, read_days)
    best = best_fit(case, table)
    model, name = best.predictions, best.card.candidate
    known = TRUTHS[case.name](model, case)
    metric = find_metric(case.metric, case.problem)
    sign = 1 if greater_is_better(case.metric) else -1

    def score(frame: pd.DataFrame, column: str) -> float:
        both = frame.merge(known, on=["entity", "time"], validate="1:1")
        y, forecast = (both[each].to_numpy(dtype=np.float64) for each in ("y", column))
        return float(metric(y, forecast))

    trivial = baselines.predictions(table, case.problem)
    scores = {each: score(frame, "prediction") for each, frame in trivial.items()}
    baseline = max(scores, key=lambda each: sign * scores[each])
    return Line(
        use_case=case.name,
        metric=case.metric,
        rows=len(model.merge(known, on=["entity", "time"])),
        candidate=name,
        baseline=baseline,
        of_baseline=scores[baseline],
        of_model=score(model, "prediction"),
        ceiling=score(model, "truth"),
    )


# by what true class of its cells a clustering is judged: what the feed does not say itself
KINDS = {"cell_profiles": "area"}


def profile_line(case: UseCase) -> Line:
    """Return how far the clusters are the true classes, which agree with themselves by 1."""
    table = table_of(case, read_days)
    best = best_fit(case, table)
    classes = true_profiles(SCALE).set_index("cell_id")[KINDS[case.name]]

    def agreement(frame: pd.DataFrame) -> float:
        return float(adjusted_rand_score(frame["entity"].map(classes), frame["prediction"]))

    trivial = groupings(table, (), case.entity)
    scores = {name: agreement(frame) for name, frame in trivial.items()}
    baseline = max(scores, key=lambda name: scores[name])
    return Line(
        use_case=f"{case.name}, {classes.name}s",
        metric="adjusted_rand",
        rows=len(best.predictions),
        candidate=best.card.candidate,
        baseline=baseline,
        of_baseline=scores[baseline],
        of_model=agreement(best.predictions),
        ceiling=1.0,
    )


def best_fit(case: UseCase, table: pd.DataFrame) -> candidates.FittedCandidate:
    """Return the candidate whose folds scored best, as a training chooses it."""
    sign = 1 if greater_is_better(case.metric) else -1
    fits: Iterable[candidates.FittedCandidate] = (
        candidates.fit(table, candidate, case.fit_view()) for candidate in case.candidates
    )
    return max(fits, key=lambda fit: sign * (fit.card.fold_score or -np.inf))


def text(found: Line) -> str:
    """Return a line of the table."""
    cells = (
        f"{found.use_case}, {found.candidate}",
        found.metric,
        f"{found.rows:,}",
        f"{found.of_baseline:.4g} ({found.baseline})",
        f"{found.of_model:.4g}",
        f"{found.ceiling:.4g}",
        f"{found.share:.1%}",
        f"{found.way:.1%}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
