"""No shipped use case's features look ahead: whatever comes after t, in any dataset, X(t) stays."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pytest

from rancast.audit import view_of
from rancast.audit_future import Sources, check_future
from rancast.column_types import no_rows
from rancast.datasets import Dataset, load_dataset
from rancast.features import build
from rancast.joins import Other
from rancast.use_cases import UseCase, known_use_cases, load_use_case
from rancast.windows import days_back, days_between

ROOT = Path(__file__).parents[2]
HOMES = [ROOT, *sorted((ROOT / "examples").glob("*/"))]
SHIPPED = [
    (home, name)
    for home in HOMES
    if (home / "use_cases").is_dir()
    for name in known_use_cases(home)
]
JOINING = [one for one in SHIPPED if load_use_case(*one).features.joins]
DAY = date(2024, 3, 26)
# names of cells and of people alike, so that all that can be joined is
NAMES = ("S1-1", "S1-2", "S1-3", "S2-1")
MOST_PERIODS = 96
EVENTS_A_DAY = 40


def operator_day(dataset: Dataset, day: date, texts: tuple[str, ...]) -> pd.DataFrame:
    """Return a day of a feed as its dataset describes it, of four entities and random values."""
    random = np.random.default_rng([day.toordinal(), crc32(dataset.name.encode())])
    start, period = pd.Timestamp(day, tz="UTC"), dataset.time.period
    if period is not None:
        every = np.arange(timedelta(days=1) // period)
        # neighbours in time, and the rest of the day
        later = np.linspace(MOST_PERIODS // 2, every[-1], MOST_PERIODS // 2).astype(int)
        count = np.union1d(every[: MOST_PERIODS // 2], np.minimum(later, every[-1]))
        time = np.repeat(start + period * count, len(NAMES))
        entity = np.tile(NAMES, len(count))
    else:
        # at midnight, where the rows of customers stand, and at any other time
        later = np.sort(random.integers(1, 86_400, EVENTS_A_DAY - len(NAMES)))
        time = start + pd.to_timedelta([*[0] * len(NAMES), *later], unit="s")
        entity = np.array([*NAMES, *random.choice(NAMES, len(later))])
    columns = {
        name: _values(column.type, texts, len(time), random)
        for name, column in dataset.columns.items()
    }
    columns[dataset.time.column] = pd.DatetimeIndex(time).as_unit("us")
    columns[dataset.entity or dataset.key[0]] = entity
    typed = no_rows(dataset)
    return pd.DataFrame(columns)[list(typed)].astype(typed.dtypes.to_dict())


def _values(kind: str, texts: tuple[str, ...], count: int, random: np.random.Generator) -> Any:
    if kind == "string":
        return random.choice(texts, count)
    if kind == "boolean":
        return random.random(count) < 0.5
    values = random.gamma(2.0, 20.0, count)
    if kind != "float":
        return values.round().astype("int64")
    return np.where(random.random(count) < 0.05, np.nan, values)


def sources_of(case: UseCase, datasets: dict[str, Dataset]) -> Sources:
    """Return all partitions of each dataset that the features of DAY are made from."""
    texts = (*NAMES, *re.findall(r"'([^']+)'", case.where or ""))
    frames: dict[str, list[pd.DataFrame]] = {}
    others: dict[str, Other] = {}
    for name, dataset in datasets.items():
        back = days_back(case, dataset)
        days = days_between(DAY - timedelta(days=back), DAY + timedelta(days=1))
        frames[name] = [operator_day(dataset, day, texts) for day in days]
        others[name] = Other(dataset=dataset.as_delivered(), days=tuple(days))
    own, other = frames.pop(case.dataset), {name: others[name] for name in case.datasets[1:]}
    return Sources(own, frames, other)


@pytest.fixture(params=SHIPPED, ids=[name for _, name in SHIPPED], scope="module")
def shipped(request: pytest.FixtureRequest) -> tuple[UseCase, Dataset, Sources]:
    """Each use case of the checkout and of the examples, with the feeds that it needs."""
    home, name = request.param
    case = load_use_case(home, name)
    datasets = {one: load_dataset(home, one) for one in case.datasets}
    return case, datasets[case.dataset], sources_of(case, datasets)


def test_features_stay_when_everything_after_t_is_noise_or_gone(
    shipped: tuple[UseCase, Dataset, Sources],
) -> None:
    """Of all rows of all datasets after t half are noise and the rest gone: equal bits up to t."""
    case, dataset, sources = shipped
    for seed in (1, 2):
        view = view_of(case).model_copy(update={"seed": seed})
        checked = check_future(sources, view, dataset, [DAY])
        assert not checked.findings, [finding.sentence for finding in checked.findings]
        assert not checked.detail.startswith("0 rows")


def test_no_feature_that_is_checked_is_empty(shipped: tuple[UseCase, Dataset, Sources]) -> None:
    """The operator has calls, reports and neighbours of everybody: there is something to change."""
    case, dataset, sources = shipped
    X = sources.build(build, view_of(case), dataset, DAY)
    assert [name for name in X if X[name].isna().all()] == []


@pytest.mark.parametrize(
    "shipped", JOINING, ids=[name for _, name in JOINING], indirect=True, scope="module"
)
def test_a_join_that_looks_ahead_is_found(shipped: tuple[UseCase, Dataset, Sources]) -> None:
    """Rows of joined datasets that pretend to be six hours older change features of each join."""
    case, dataset, sources = shipped

    def leaky(*given: Any) -> pd.DataFrame:
        *own, joined, others = given
        older = {
            name: [_older(part, others[name].dataset.time.column) for part in parts]
            for name, parts in joined.items()
        }
        return build(*own, older, others)

    checked = check_future(sources, view_of(case), dataset, [DAY], build=leaky)
    found = {finding.columns[0] for finding in checked.findings}
    for join in case.features.joins:
        assert found & set(join.names()), join.name


def _older(part: pd.DataFrame, clock: str) -> pd.DataFrame:
    return part.assign(**{clock: part[clock] - timedelta(hours=6)})
