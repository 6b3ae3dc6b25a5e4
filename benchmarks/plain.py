"""The work of the main job as a plain script: no Prefect, no Great Expectations, no ledger.

Usage: python -m benchmarks.plain HOME AS_OF, prints one JSON line with seconds and peak memory of
each stage.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.memory import MemoryTrace, Span

if TYPE_CHECKING:
    import pandas as pd

    from rancast.candidates import FitResult
    from rancast.datasets import Dataset
    from rancast.evaluation import Evaluation
    from rancast.use_cases import UseCase

STARTED = time.perf_counter()
USE_CASE = "network_degradation"


class Stages:
    """When each stage ran, in the order in which they ran."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block under a name."""
        start = time.time()
        yield
        self.spans[name] = (start, time.time())


def main() -> None:
    """Do what `daily` does on the same files, with the same functions where they are ours."""
    home, as_of = Path(sys.argv[1]), date.fromisoformat(sys.argv[2])
    trace, stages = MemoryTrace().start(), Stages()
    with stages.stage("imports"):
        _import()
    from rancast.datasets import load_dataset
    from rancast.use_cases import load_use_case

    case = load_use_case(home, USE_CASE)
    datasets = {name: load_dataset(home, name) for name in case.datasets}
    raw = home / ".local" / "raw"
    with stages.stage("pull"):
        frames = {name: pull(raw / name, dataset) for name, dataset in datasets.items()}
    with stages.stage("validate"):
        days = {name: validate(frames[name], dataset) for name, dataset in datasets.items()}
    train(case, datasets, days, as_of, home, stages)
    trace.stop()
    print(
        json.dumps(
            {
                "seconds": {name: end - start for name, (start, end) in stages.spans.items()},
                "peaks_mb": {name: trace.peak_mb([span]) for name, span in stages.spans.items()},
                "total": time.perf_counter() - STARTED,
                "rows": sum(map(len, frames.values())),
                "peak_mb": trace.peak_mb(),
            }
        )
    )


def _import() -> None:
    import mlflow  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import sklearn.linear_model  # noqa: F401

    from rancast import baselines, candidates, features, plots, tables  # noqa: F401


def pull(raw: Path, dataset: "Dataset") -> "pd.DataFrame":
    """Read all files at once, with the types that the dataset says."""
    import pandas as pd

    files = sorted(path for path in raw.rglob("*") if path.is_file())
    frame = pd.concat([pd.read_csv(path, dtype=str) for path in files], ignore_index=True)
    names = {raw: name for name in dataset.columns for raw in dataset.aliases_of(name)}
    frame = frame.rename(columns=names)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, errors="coerce")
    frame["timestamp"] = frame["timestamp"].dt.as_unit("us")
    numbers = [name for name, column in dataset.columns.items() if column.type == "float"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce")
    return frame


def validate(frame: "pd.DataFrame", dataset: "Dataset") -> dict[date, "pd.DataFrame"]:
    """Return the rows that pass the row expectations of the reports' suite, by day.

    Of any other dataset only the key is looked at.
    """
    good = frame[list(dataset.key)].notna().all(axis="columns") & frame["timestamp"].notna()
    if dataset.name == "network_performance":
        good &= (
            frame["latency_ms"].between(0, 10_000)
            & frame["packet_loss_ratio"].between(0, 1)
            & frame["throughput_mbps"].between(0, 10_000)
            & frame["signal_strength_dbm"].between(-140, -20)
            & frame["cell_id"].str.fullmatch(r"[A-Za-z0-9_.:/-]{1,64}")
        )
    curated = frame[good].drop_duplicates(list(dataset.key), keep="last")
    curated = curated.sort_values(list(dataset.key))[list(dataset.columns)]
    texts = [name for name, column in dataset.columns.items() if column.type == "string"]
    curated = curated.astype(dict.fromkeys(texts, "str"))
    return {day: part for day, part in curated.groupby(curated["timestamp"].dt.date)}


def train(
    case: "UseCase",
    datasets: dict[str, "Dataset"],
    days: dict[str, dict[date, "pd.DataFrame"]],
    as_of: date,
    home: Path,
    stages: Stages,
) -> None:
    """Build the table, fit and evaluate every candidate, and log all of it."""
    from rancast import baselines, candidates, tables
    from rancast.judging import evaluate_predictions, judge_view

    dataset, own = datasets[case.dataset], list(days[case.dataset].values())
    with stages.stage("features"):
        built = build_features(case, datasets, days)
    with stages.stage("table"):
        table, _ = tables.assemble(built, own, case.table_view(), dataset, as_of)
    with stages.stage("fit"):
        fits = [candidates.fit(table, candidate, case.fit_view()) for candidate in case.candidates]
    with stages.stage("evaluate"):
        judged = judge_view(case)
        evaluated = [
            evaluate_predictions(fit.predictions, judged, fit.card.threshold) for fit in fits
        ]
        trivial = baselines.predictions(table, case.problem, case.fit_view().slices, case.entity)
        for predictions in trivial.values():
            evaluate_predictions(predictions, judged, None)
    with stages.stage("track"):
        track(home, fits, evaluated, trivial)


def build_features(
    case: "UseCase",
    datasets: dict[str, "Dataset"],
    days: dict[str, dict[date, "pd.DataFrame"]],
) -> list["pd.DataFrame"]:
    """Build the features of each day from the days that they look back on."""
    from rancast import features
    from rancast.joins import Other
    from rancast.windows import days_back

    own, built = case.dataset, []
    for day in sorted(days[own]):
        seen = {name: _before(days[name], day, days_back(case, datasets[name])) for name in days}
        others = {
            name: Other(dataset=datasets[name], days=tuple(seen[name]))
            for name in case.datasets[1:]
        }
        joined = {name: list(seen[name].values()) for name in others}
        given = list(seen[own].values()), case.feature_view(), datasets[own], day
        built.append(features.build(*given, joined, others))
    return built


def _before(by_day: dict[date, "pd.DataFrame"], day: date, back: int) -> dict[date, "pd.DataFrame"]:
    first = day - timedelta(days=back)
    return {one: frame for one, frame in by_day.items() if first <= one <= day}


def track(
    home: Path,
    fits: list["FitResult"],
    evaluated: list["Evaluation"],
    trivial: dict[str, "pd.DataFrame"],
) -> None:
    """Log each candidate with its plots and its model, as scripts do."""
    import mlflow

    from rancast import plots

    mlflow.set_tracking_uri(f"sqlite:///{home}/plain.db")
    mlflow.set_experiment(USE_CASE)
    for fit, evaluation in zip(fits, evaluated, strict=True):
        with mlflow.start_run(run_name=fit.card.candidate):
            mlflow.log_params(fit.card.params)
            mlflow.log_metrics(
                {
                    name: one.value
                    for name, one in evaluation.metrics.items()
                    if one.value is not None
                }
            )
            drawn: dict[str, Any] = plots.for_candidate(
                fit.predictions, fit.card, evaluation, fit.importance, trivial
            )
            folder = home / "plain" / fit.card.candidate
            folder.mkdir(parents=True)
            (folder / "model.skops").write_bytes(fit.model)
            for name, data in drawn.items():
                (folder / name).write_bytes(data)
            mlflow.log_artifacts(str(folder))


if __name__ == "__main__":
    main()
