"""What people look up in lake, ledger and MLflow, as frames: for notebooks, and nothing else.

It only reads. What flows read and write goes through steps; see `steps` and `ingestion`.
"""

import json
import re
from datetime import date
from typing import Literal

import pandas as pd

from rancast import judging
from rancast.busy_hour import in_busy_hours
from rancast.champions import Pointer, history_rows
from rancast.column_checks import expect_columns, expect_no_ratio
from rancast.column_types import NUMERIC
from rancast.coverage import reach_of_sleep, suspects
from rancast.datasets import IS_SLEEPING, Dataset, load_dataset
from rancast.durations import DAY
from rancast.errors import ConfigurationError, DataError
from rancast.grids import derived_rows
from rancast.manifests import PartitionManifest, parse_manifest, partition_folder
from rancast.references import Reference
from rancast.settings import load_settings
from rancast.steps import StepEntry
from rancast.use_cases import UseCase
from tasks.registry import FINGERPRINT_TAG, Registry
from tasks.steps import load_frame
from tasks.stores import open_lake, open_ledger

Kind = Literal["curated", "quarantined", "features"]


def list_days(kind: Kind, name: str) -> list[date]:
    """Return the days of which a dataset (or, of features, a use case) has a manifest, in order."""
    pattern = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/manifest\.json$")
    blobs = open_lake().list(f"{_folder(kind)}/{name}/")
    found = [pattern.search(blob.name) for blob in blobs]
    return sorted(date.fromisoformat(match[1]) for match in found if match)


def read_manifest(dataset: str, day: date) -> PartitionManifest:
    """Return what validation found in one partition; raises ObjectNotFound where there is none."""
    name = f"{partition_folder(dataset, day)}/manifest.json"
    return parse_manifest(open_lake().read(name), name)


def read_day(kind: Kind, name: str, day: date) -> pd.DataFrame:
    """Return the rows of one day, as its manifest names them and verified by their digest.

    `curated` and `quarantined` are of a dataset, `features` of a use case. Raises ObjectNotFound
    where that day has no manifest.
    """
    place = f"{_folder(kind)}/{name}/date={day:%Y-%m-%d}/manifest.json"
    files = json.loads(open_lake().read(place))["files"]
    return load_frame(Reference.model_validate(files["data" if kind == "features" else kind]))


def read_days(kind: Kind, name: str, days: list[date]) -> pd.DataFrame:
    """Return the rows of several days below each other."""
    return pd.concat([read_day(kind, name, day) for day in days], ignore_index=True)


def coverage_table(dataset: str) -> pd.DataFrame:
    """Return one row per partition: its rows by where they went, its coverage, and its verdict.

    Columns: day, raw, curated, quarantined, duplicates, coverage (missing for events), is_refused.
    """
    manifests = [read_manifest(dataset, day) for day in list_days("curated", dataset)]
    rows = [
        {
            "day": pd.Timestamp(one.date),
            **one.rows.model_dump(),
            "coverage": one.coverage,
            "is_refused": one.is_refused,
        }
        for one in manifests
    ]
    return pd.DataFrame(rows)


def busy_hours(
    dataset: str, days: list[date], traffic: str | None = None, timezone: str | None = None
) -> pd.DataFrame:
    """Return the busy hour of each of these local days, of each entity and then of the network.

    Columns are those of `rancast.busy_hour.in_busy_hours`, with the KPIs of the dataset, if any.
    `traffic` and `timezone` are by default `sleeping.traffic` and `time.timezone` of the dataset.
    Raises ConfigurationError where nothing says what traffic is, or no hour can be the busy one.
    """
    of = load_dataset(load_settings().home, dataset)
    column = traffic or (of.sleeping.traffic if of.sleeping else None)
    if column is None:
        raise ConfigurationError(
            f"dataset {dataset!r} does not say what its traffic is; name a column of numbers, or "
            "state sleeping: {traffic, level}."
        )
    expect_columns(of, "traffic", [column], NUMERIC)
    expect_no_ratio(of, "traffic", [column])
    rows, zone = _derived(of, days), timezone or of.time.timezone
    own = in_busy_hours(rows, of, column, zone, "entity")
    found = pd.concat([own, in_busy_hours(rows, of, column, zone, "network")])
    wanted: pd.DataFrame = found[found["day"].dt.date.isin(days)]
    return wanted.reset_index(drop=True)


def sleepers(dataset: str, days: list[date]) -> pd.DataFrame:
    """Return [entity, periods, share, first, last] of who slept on these UTC days, worst first.

    `share` is of the rows of which it is known. Raises ConfigurationError for a dataset that does
    not say who sleeps, by `sleeping`.
    """
    of = load_dataset(load_settings().home, dataset)
    if of.sleeping is None:
        raise ConfigurationError(
            f"dataset {dataset!r} does not say who sleeps; state sleeping: {{traffic, level}}."
        )
    rows = _derived(of, days, with_sleep=True)
    recent: pd.DataFrame = rows[rows[of.time.column].dt.date.isin(days)]
    return suspects(recent, of, recent[IS_SLEEPING])


def _derived(of: Dataset, days: list[date], with_sleep: bool = False) -> pd.DataFrame:
    """Return the rows of UTC days with what the dataset derives of them.

    The day before and after are read, too, since local days reach into them, and so are those that
    say who sleeps already.
    """
    before = 1 + (-(-reach_of_sleep(of) // DAY) if with_sleep else 0)
    near = {day + number * DAY for day in days for number in range(-before, 2)}
    known = [day for day in list_days("curated", of.name) if day in near]
    parts = [read_day("curated", of.name, day) for day in known]
    return derived_rows(parts, of, with_sleep).reset_index(drop=True)


def champions_table(use_case: str) -> pd.DataFrame:
    """Return who was champion from when until when, by whom and why, the newest first."""
    pointer = find_pointer(use_case)
    return pd.DataFrame(history_rows(pointer) if pointer else [])


def find_pointer(use_case: str) -> Pointer | None:
    """Return the ledger's pointer with its history, None before the first champion."""
    return open_ledger().pointer(use_case)


def versions_table(use_case: str) -> pd.DataFrame:
    """Return one row per registered version: its candidate, its training's end, and its metrics.

    Columns: version, candidate, end, fingerprint, then the metrics as MLflow has them.
    """
    found = Registry(load_settings().tracking).versions(use_case)
    rows = [
        {
            "version": one.version,
            "candidate": one.tags.get("rancast.candidate", ""),
            "end": pd.Timestamp(one.tags["rancast.end"]) if "rancast.end" in one.tags else None,
            "fingerprint": one.tags.get(FINGERPRINT_TAG, ""),
            **one.metrics,
        }
        for one in found
    ]
    return pd.DataFrame(rows)


def read_training(fingerprint: str) -> StepEntry:
    """Return the ledger's entry of the fit with this fingerprint.

    Raises DataError where there is none.
    """
    entry = open_ledger().step(fingerprint)
    if entry is None:
        raise DataError(
            f"the ledger has no fit {fingerprint[:12]!r}; take a fingerprint of versions_table."
        )
    return entry


def read_output(entry: StepEntry, name: str) -> pd.DataFrame:
    """Return a frame that a fit left, such as `predictions`, `importance` or `trials`."""
    return load_frame(entry.outputs[name])


def score_version(use_case: UseCase, version: int, table: pd.DataFrame) -> pd.DataFrame:
    """Return what a version that was champion predicts for the holdout rows of a training table.

    The model is loaded as scoring loads it: pinned by its SHA-256, from reviewed types only. Raises
    DataError where it never was champion, or the table no longer has what it needs.
    """
    pointer = find_pointer(use_case.name)
    champion = pointer.former(version) if pointer else None
    if champion is None:
        raise DataError(f"version {version} of {use_case.name} never was champion.")
    registry = Registry(load_settings().tracking)
    stored = registry.download_model(use_case.name, version, champion.model_sha256)
    slices = use_case.fit_view().slices
    score = judging.score_champion(stored.model, table, stored.card, slices, use_case.entity)
    if score.predictions is None:
        raise DataError(f"version {version} of {use_case.name}: {score.verdict.reason}")
    return score.predictions


def read_table(entry: StepEntry) -> pd.DataFrame:
    """Return the training table that a fit was made from."""
    return load_frame(Reference.model_validate(entry.inputs["table"]))


def _folder(kind: Kind) -> str:
    return {"curated": "curated", "quarantined": "curated", "features": "features"}[kind]
