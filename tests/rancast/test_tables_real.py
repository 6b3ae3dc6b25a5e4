"""The use cases on real data: their tables hold what an untuned model needs to beat persistence."""

import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from rancast.datasets import Dataset, load_dataset
from rancast.features import build, lookback_days
from rancast.reading import read_partition
from rancast.tables import TrainingTable, assemble
from rancast.use_cases import load_use_case

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def raw(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public data sets, laid out as a raw container."""
    folder = tmp_path_factory.mktemp("raw")
    subprocess.run([sys.executable, str(real_data / "lay_out.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def traces(raw: Path) -> dict[date, pd.DataFrame]:
    """Every day of ucc_5g as read, with the last row of each second."""
    return days_of(raw, load_dataset(EXAMPLES / "ucc_5g", "ucc_5g"))


def days_of(raw: Path, dataset: Dataset) -> dict[date, pd.DataFrame]:
    """Return a dataset's days as curated frames, without the checks of its suite."""
    days = {}
    for folder in sorted((raw / dataset.name).glob("year=*/month=*/day=*")):
        blobs = {str(file.relative_to(raw)): file.read_bytes() for file in folder.iterdir()}
        typed = read_partition(blobs, dataset, b"").typed
        kept = typed.drop_duplicates(list(dataset.key), keep="last")[list(dataset.columns)]
        days[date(*map(int, re.findall(r"=(\d+)", str(folder))))] = kept
    return days


def table_of(days: dict[date, pd.DataFrame], home: str, name: str, end: date) -> TrainingTable:
    """Return the training table of a shipped use case, by the product's own functions."""
    case = load_use_case(EXAMPLES / home, name)
    dataset = load_dataset(EXAMPLES / home, case.dataset)
    view, back = case.feature_view(), timedelta(days=1)
    features = []
    for day in days:
        first = day - lookback_days(view, dataset) * back
        features.append(build([days[at] for at in days if first <= at <= day], view, dataset, day))
    return assemble(features, list(days.values()), case.table_view(), dataset, end)


def errors(made: TrainingTable, model: object = None) -> tuple[float, float]:
    """Return MAE and R² of an untuned model, or of the last value, on the holdout."""
    names = list(made.summary.features)
    train = made.table[made.table["split"] == "train"]
    test = made.table[made.table["split"] == "holdout"]
    predicted = test["baseline_last_value"]
    if model is not None:
        with threadpool_limits(1):
            predicted = model.fit(train[names], train["y"]).predict(test[names])
    return mean_absolute_error(test["y"], predicted), r2_score(test["y"], predicted)


def ridge() -> object:
    """Return an untuned ridge regression, which cannot take missing values itself."""
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge())


def test_boosting_learns_the_downloads(traces: dict[date, pd.DataFrame]) -> None:
    """Downloads up to 13 February teach boosting to halve the last value's unexplained variance."""
    made = table_of(traces, "ucc_5g", "ucc_5g_throughput", date(2020, 2, 28))
    holdout = made.summary.holdout
    assert (holdout.entities, holdout.days, holdout.first.date()) == (7, 2, date(2020, 2, 14))
    last_mae, last_r2 = errors(made)
    assert last_mae == pytest.approx(27.4, abs=0.1) and last_r2 == pytest.approx(0.45, abs=0.01)
    mae, r2 = errors(made, HistGradientBoostingRegressor(random_state=0))
    assert mae <= 18.5 and r2 >= 0.77


def test_all_apps_in_time_order_are_a_trap(traces: dict[date, pd.DataFrame]) -> None:
    """Taught by videos, boosting falls behind the last value on downloads, and ridge does not."""
    made = table_of(traces, "ucc_5g", "ucc_5g_throughput_all_apps", date(2020, 2, 28))
    assert (made.summary.holdout.entities, made.summary.holdout.days) == (29, 11)
    last, _ = errors(made)
    boosting, _ = errors(made, HistGradientBoostingRegressor(random_state=0))
    assert errors(made, ridge())[0] < 0.95 * last < 1.05 * last < boosting


def test_next_hours_traffic_beats_the_last_hour(raw: Path) -> None:
    """Taught by August, boosting on absolute errors beats the last hour's bytes in October."""
    dataset = load_dataset(EXAMPLES / "cell_traffic", "cell_traffic")
    days = {day: frame for day, frame in days_of(raw, dataset).items() if day.day != 16}
    made = table_of(days, "cell_traffic", "cell_traffic_bytes", date(2012, 10, 14))
    assert (made.summary.train.days, made.summary.holdout.days) == (12, 11)
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=0)
    assert errors(made, model)[0] < 0.8 * errors(made)[0]
