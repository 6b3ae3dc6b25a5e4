"""Clusters on the same road: promoted once, numbered for good, described, and computed once."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.daily import daily
from flows.promotion import promotion
from flows.rollback import rollback
from rancast.champions import Champion, Pointer
from tests.faults import tiny
from tests.flows import homes

AS_OF = date(2024, 3, 5)
USE_CASE = """
name: groups
problem: clustering
dataset: kpis
entity: cell_id
history: 4d
features: {current: [load_ratio, latency_ms]}
split: {holdout: 2d, embargo: 1h, folds: 2}
search: {rows: 1000, iterations: 2}
candidates:
  - {name: k_means, estimator: KMeans, scale: true, impute: true, search: {n_clusters: [2, 3]}}
metric: silhouette
gates: {floors: {silhouette: 0.5, stability: 0.5}, minimum_clusters: {entity: 3, day: 2}}
"""


def write_day(home: Path, day: date) -> None:
    """Write a day on which the first three cells are quiet and the other three are busy."""
    hours = pd.date_range(day, periods=24, freq="h", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    random = np.random.default_rng(day.toordinal())
    load = np.repeat([0.2, 0.8], 3 * 24) + random.normal(0, 0.02, tiny.CELLS * 24)
    rows = pd.DataFrame(
        {
            "timestamp": np.tile(hours, tiny.CELLS),
            "cell_id": np.repeat([f"C{cell}" for cell in range(tiny.CELLS)], 24),
            "load_ratio": load.round(4),
            "latency_ms": (20 + 60 * load).round(3),
        }
    )
    path = home / ".local/raw/kpis" / f"year={day:%Y}/month={day:%m}/day={day:%d}/kpis.csv"
    path.write_text(rows.to_csv(index=False))


@pytest.fixture()
def groups_home(new_home: Path) -> Path:
    """A home with a clustering and four days of two groups of cells, on which nothing ran yet."""
    (new_home / "use_cases/groups.yaml").write_text(USE_CASE)
    for back in range(tiny.DAYS):
        write_day(new_home, AS_OF - timedelta(days=back + 1))
    return new_home


def champion(home: Path) -> Champion:
    """Return the champion as the ledger has it."""
    return Pointer.model_validate_json(homes.pointer(home, "groups") or b"").champion


@pytest.mark.usefixtures("hurry")
def test_clusters_go_the_same_road_and_keep_their_numbers(groups_home: Path) -> None:
    """Promoted with numbers from 1; a rerun computes nothing; a later champion takes the numbers
    of the clusters it shares and new ones for others; a rollback brings the first ones back."""
    (first,) = daily(["groups"], AS_OF).trained
    assert first.is_new_champion, first.reasons
    assert first.clusters is not None
    assert [(one.label, one.entities) for one in first.clusters.clusters] == [(1, 3), (2, 3)]
    assert "Stability is" in " ".join(first.reasons)
    numbers = champion(groups_home).label_map
    assert numbers is not None and sorted(numbers.values()) == [1, 2]

    before = homes.lake_files(groups_home), homes.registry(groups_home)
    (again,) = daily(["groups"], AS_OF).trained
    assert (again.computed, again.decision, again.clusters) == (0, None, first.clusters)
    assert (homes.lake_files(groups_home), homes.registry(groups_home)) == before

    three = USE_CASE.replace("[2, 3]", "[3]")
    (groups_home / "use_cases/groups.yaml").write_text(three)
    (kept,) = daily(["groups"], AS_OF).trained
    assert (kept.version, kept.champion, kept.whose_clusters[:24]) == (
        2,
        1,
        "Of the champion, version",
    )
    promotion("groups", 2, "finer groups are wanted", declared_by="Ada")
    later = champion(groups_home).label_map
    assert later is not None and sorted(later.values()) == [1, 2, 3]
    rollback("groups", "too fine", declared_by="Ada")
    assert champion(groups_home).label_map == numbers
