"""The work of the main job as a plain script: no Prefect, no Great Expectations, no ledger.

Usage: python -m benchmarks.plain HOME AS_OF, prints one JSON line with seconds per stage.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

STARTED = time.perf_counter()
USE_CASE = "network_degradation"


class Stages:
    """Seconds per stage, in the order in which they ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block under a name."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def main() -> None:
    """Do what `daily` does on the same files, with the same functions where they are ours."""
    home, as_of = Path(sys.argv[1]), date.fromisoformat(sys.argv[2])
    stages = Stages()
    with stages.stage("imports"):
        import mlflow
        import pandas as pd
        import sklearn.ensemble  # noqa: F401
        import sklearn.linear_model  # noqa: F401

        from rancast import baselines, candidates, features, plots, tables
        from rancast.datasets import load_dataset
        from rancast.judging import evaluate_predictions, judge_view
        from rancast.use_cases import load_use_case

    case = load_use_case(home, USE_CASE)
    dataset = load_dataset(home, case.dataset)
    raw = home / ".local" / "raw" / dataset.name

    with stages.stage("pull"):
        files = sorted(path for path in raw.rglob("*") if path.is_file())
        read = [pd.read_csv(path, dtype=str) for path in files]
        frame = pd.concat(read, ignore_index=True)
        rows = len(frame)
        frame = frame.rename(columns={"packet_loss": "packet_loss_ratio"})
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, errors="coerce")
        frame["timestamp"] = frame["timestamp"].dt.as_unit("us")
        numbers = [name for name, column in dataset.columns.items() if column.type == "float"]
        frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce")

    with stages.stage("validate"):
        good = (
            frame["latency_ms"].between(0, 10_000)
            & frame["packet_loss_ratio"].between(0, 1)
            & frame["throughput_mbps"].between(0, 10_000)
            & frame["signal_strength_dbm"].between(-140, -20)
            & frame["cell_id"].str.fullmatch(r"[A-Za-z0-9_.:/-]{1,64}")
            & frame["timestamp"].notna()
        )
        curated = frame[good].drop_duplicates(list(dataset.key), keep="last")
        curated = curated.sort_values(list(dataset.key))[list(dataset.columns)]
        curated = curated.astype({"cell_id": "str", "connection_type": "str"})
        by_day = {day: part for day, part in curated.groupby(curated["timestamp"].dt.date)}

    with stages.stage("features"):
        view = case.feature_view()
        back = features.lookback_days(view, dataset)
        built = [
            features.build(
                [by_day[one] for one in by_day if day - timedelta(days=back) <= one <= day],
                view,
                dataset,
                day,
            )
            for day in sorted(by_day)
        ]

    with stages.stage("table"):
        table, _ = tables.assemble(built, list(by_day.values()), case.table_view(), dataset, as_of)

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
        mlflow.set_tracking_uri(f"sqlite:///{home}/plain.db")
        mlflow.set_experiment(USE_CASE)
        for fit, evaluation in zip(fits, evaluated, strict=True):
            with mlflow.start_run(run_name=fit.card.candidate):
                mlflow.log_params(fit.card.params)
                mlflow.log_metrics({name: one.value for name, one in evaluation.metrics.items()})
                drawn = plots.for_candidate(
                    fit.predictions, fit.card, evaluation, fit.importance, trivial
                )
                folder = home / "plain" / fit.card.candidate
                folder.mkdir(parents=True)
                (folder / "model.skops").write_bytes(fit.model)
                for name, data in drawn.items():
                    (folder / name).write_bytes(data)
                mlflow.log_artifacts(str(folder))

    print(
        json.dumps(
            {
                "seconds": stages.seconds,
                "total": time.perf_counter() - STARTED,
                "rows": rows,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
