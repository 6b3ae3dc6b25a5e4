"""Model quality beside the best that is possible, which a simulator knows: `make ceilings`.

    python -m benchmarks.ceilings [HOME]

It runs `daily` on the demo's simulated operator, and takes what the best candidate of each use case
said of its holdout, the best baseline, and the truth on the same rows. HOME stays for a look, and
what was computed there before is reused; without one a temporary folder is used. Markdown goes to
stdout, for docs/results.md.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from rancast.calls import baselines_call
from rancast.metrics import find_metric, greater_is_better
from rancast.pseudonyms import pseudonymise
from rancast.references import Reference
from rancast.settings import load_settings
from rancast.simulation import Scale, raw_files, true_throughput, true_week_probabilities
from rancast.simulation_network import Network
from rancast.simulation_truth import day_truth
from rancast.trainings import TrainingOutcome
from rancast.use_cases import UseCase, load_use_case

if TYPE_CHECKING:
    from flows.daily import Night

CHECKOUT = Path(__file__).resolve().parents[1]
SCALE = Scale(cells=20, days=120, customers=200)
# the truth of a row of throughput costs a thousand random numbers
THROUGHPUT_ROWS = 4_000
# the truth of a day of customers costs seconds: every other day of the holdout
CUSTOMER_DAYS = 2


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
        if greater_is_better(self.metric):
            return self.of_model / self.ceiling
        return self.ceiling / self.of_model

    @property
    def way(self) -> float:
        """How much of the way from the baseline to the best that is possible the model goes."""
        return (self.of_model - self.of_baseline) / (self.ceiling - self.of_baseline)


def main() -> None:
    """Run the use cases below the folder named on the command line, or below a temporary one."""
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]).resolve())
        return
    with tempfile.TemporaryDirectory(prefix="rancast-ceilings-") as folder:
        measure(Path(folder))


def measure(home: Path) -> None:
    """Run the main job in a home, and print each use case that has a truth beside it."""
    prepare(home)
    os.environ["RANCAST_HOME"] = str(home)
    from flows.daily import daily  # prefect reads its settings below the first home

    started = time.monotonic()
    night: Night = daily(None, SCALE.end)
    print(f"daily: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(f"{SCALE.cells} cells, {SCALE.days} days, {SCALE.customers} customers\n")
    print("| use case | metric | rows | best baseline | model | best possible | share | way |")
    print("|---|---|--:|--:|--:|--:|--:|--:|", flush=True)
    for outcome in night.trained:
        case = load_use_case(home, outcome.use_case)
        if case.name in TRUTHS:
            print(text(line(outcome, case, TRUTHS[case.name])), flush=True)


def prepare(home: Path) -> None:
    """Copy the configuration and write the raw files that are not there yet."""
    for name in ("datasets", "expectations", "use_cases"):
        shutil.copytree(CHECKOUT / name, home / name, dirs_exist_ok=True)
    for name, data in raw_files(SCALE):
        path = home / ".local" / "raw" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


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
    key = load_settings().pseudonym_secret()
    who = pseudonymise(truth["customer_id"].astype("str"), "subscriber", key)
    return pd.DataFrame({"entity": who, "time": truth["timestamp"], "truth": truth["probability"]})


TRUTHS: dict[str, Truth] = {
    "network_degradation": degradation,
    "throughput_forecast": throughput,
    "throughput_forecast_24h": throughput,
    "customer_experience": satisfaction,
}


# --- models beside them -------------------------------------------------------------------------


def line(outcome: TrainingOutcome, case: UseCase, truth: Truth) -> Line:
    """Return the best candidate and the best baseline beside the truth on the same rows."""
    found = forecasts(outcome, case)
    model = found.pop(outcome.best)
    known = truth(model, case)
    metric = find_metric(case.metric, case.problem)
    sign = 1 if greater_is_better(case.metric) else -1

    def score(frame: pd.DataFrame, column: str) -> float:
        both = frame.merge(known, on=["entity", "time"], validate="1:1")
        y, forecast = (both[name].to_numpy(dtype=np.float64) for name in ("y", column))
        return float(metric(y, forecast))

    scores = {name: score(frame, "prediction") for name, frame in found.items()}
    best = max(scores, key=lambda name: sign * scores[name])
    return Line(
        use_case=case.name,
        metric=case.metric,
        rows=len(model.merge(known, on=["entity", "time"])),
        candidate=outcome.best,
        baseline=best,
        of_baseline=scores[best],
        of_model=score(model, "prediction"),
        ceiling=score(model, "truth"),
    )


def forecasts(outcome: TrainingOutcome, case: UseCase) -> Mapping[str, pd.DataFrame]:
    """Return name -> holdout predictions of the best candidate and of the baselines."""
    from tasks.catalogue import score_baselines
    from tasks.steps import STEPS, load_frame
    from tasks.stores import open_ledger

    entry = open_ledger().step(outcome.fingerprint)
    assert entry is not None and score_baselines.name in STEPS
    table = Reference.model_validate(entry.inputs["table"])
    made = STEPS["score_baselines"].make(baselines_call(case, table), case.name)
    references = {outcome.best: entry.outputs["predictions"], **made.outputs}
    return {name: load_frame(reference) for name, reference in references.items()}


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
