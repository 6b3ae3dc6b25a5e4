"""The main job, night after night: what it computes, what it leaves, and what it leaves alone."""

import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flows.daily import daily
from flows.ingest import ingest
from tests.faults import tiny
from tests.flows import homes

AS_OF = date(2024, 3, 5)
NEXT = AS_OF + timedelta(days=1)


@pytest.mark.usefixtures("hurry")
def test_a_night_with_nothing_new_computes_nothing(champion_home: Path) -> None:
    """Run again on the same files, the main job reuses everything: lake and registry stay."""
    before = homes.lake_files(champion_home), homes.registry(champion_home)
    night = daily(["tiny"], AS_OF)
    (ingested,), (trained,) = night.ingested, night.trained
    assert (ingested.computed, trained.computed) == (0, 0)
    assert (homes.lake_files(champion_home), homes.registry(champion_home)) == before


@pytest.mark.usefixtures("hurry")
def test_a_new_day_is_ingested_and_featured_once_and_trained_on(champion_home: Path) -> None:
    """One more raw day costs its own pull, validation and features, and one training."""
    before = homes.count_steps(champion_home)
    tiny.write_day(champion_home, AS_OF)
    night = daily(["tiny"], NEXT)
    added = homes.count_steps(champion_home) - before
    assert [partition.date for partition in night.ingested[0].partitions][-1] == AS_OF
    assert night.ingested[0].computed == 1
    assert added["pull_partition"] == added["validate_partition"] == added["build_features"] == 1
    assert added["assemble_table"] == added["judge"] == added["score_champion"] == 1
    assert added["fit_candidate"] == 2
