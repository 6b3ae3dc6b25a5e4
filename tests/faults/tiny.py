"""A complete home of the smallest size: a dataset, a suite, a use case, four days of files."""

import io
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

START, DAYS, CELLS = date(2024, 3, 1), 4, 6

DATASET = """
name: kpis
kind: periodic
time: {column: timestamp, timezone: UTC, period: 1h, stamped_at: start}
key: [cell_id, timestamp]
entity: cell_id
duplicates: last
expected: daily
register_days: 1
columns:
  timestamp: {type: timestamp}
  cell_id: {type: string}
  load_ratio: {type: float}
  latency_ms: {type: float}
"""

SUITE = {
    "name": "kpis",
    "expectations": [
        {
            "type": "expect_table_row_count_to_be_between",
            "kwargs": {"min_value": 1},
            "severity": "critical",
            "notes": "a day without rows is no day",
            "id": "5bb6d1a0-0000-4000-8000-000000000001",
            "meta": {},
        },
        {
            "type": "expect_table_columns_to_match_set",
            "kwargs": {"column_set": ["timestamp", "cell_id", "load_ratio", "latency_ms"]},
            "severity": "critical",
            "notes": "a lost column is a changed feed",
            "id": "5bb6d1a0-0000-4000-8000-000000000003",
            "meta": {},
        },
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "latency_ms", "min_value": 0, "max_value": 1000},
            "severity": "critical",
            "notes": "a latency is a time",
            "id": "5bb6d1a0-0000-4000-8000-000000000002",
            "meta": {},
        },
    ],
    "meta": {},
}

USE_CASE = """
name: tiny
problem: regression
dataset: kpis
entity: cell_id
history: 4d
target: {within: 1h, mean: latency_ms, observed: 1.0}
features: {current: [load_ratio, latency_ms]}
split: {holdout: 2d, embargo: 1h, folds: 2}
search: {rows: 1000, iterations: 1}
candidates:
  - {name: ridge, estimator: Ridge, impute: true}
  - {name: mean, estimator: DummyRegressor, impute: true}
metric: mae
gates: {minimum_clusters: {entity: 3, day: 2}}
"""


def write_home(home: Path) -> None:
    """Write configuration and raw files; tomorrow's latency follows from this hour's load."""
    files = {
        "datasets/kpis.yaml": DATASET,
        "expectations/kpis.json": json.dumps(SUITE),
        "use_cases/tiny.yaml": USE_CASE,
    }
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for index in range(DAYS):
        write_day(home, START + timedelta(days=index))


def write_day(home: Path, day: date) -> None:
    """Write one day's file into the raw container of a home."""
    folder = home / ".local" / "raw" / "kpis" / f"year={day:%Y}/month={day:%m}/day={day:%d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kpis.csv").write_bytes(day_file(day))


def day_file(day: date) -> bytes:
    """Return one day's CSV: 24 hours of every cell, one row of them broken."""
    hours = pd.date_range(day, periods=24, freq="h", tz="UTC")
    frames = []
    for cell in range(CELLS):
        load = np.random.default_rng([day.toordinal(), cell]).random(24)
        noise = np.random.default_rng([day.toordinal(), cell, 1]).normal(0, 1, 24)
        latency = 20 + 60 * np.roll(load, 1) + noise
        frames.append(
            pd.DataFrame(
                {
                    "timestamp": hours.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "cell_id": f"C{cell}",
                    "load_ratio": load.round(4),
                    "latency_ms": latency.round(3),
                }
            )
        )
    rows = pd.concat(frames, ignore_index=True)
    rows.loc[3, "latency_ms"] = -5.0
    text = io.StringIO()
    rows.to_csv(text, index=False)
    return text.getvalue().encode()
