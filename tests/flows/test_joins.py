"""A use case over two datasets, from files of both to a table: what is missing is unknown."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from flows.daily import daily
from tests.faults import tiny
from tests.flows import homes

AS_OF = tiny.START + timedelta(days=tiny.DAYS)
LOST = date(2024, 3, 2)

CALLS = """
name: calls
kind: events
time: {column: begun, timezone: UTC}
key: [call_id]
expected: daily
columns:
  call_id: {type: string}
  begun: {type: timestamp}
  cell_id: {type: string}
  megabytes: {type: float}
"""

JOINED = """features:
  current: [load_ratio, latency_ms]
  joins:
    - {name: calls, dataset: calls, by: cell_id, over: [2h], count: true}
"""


def write_calls(home: Path) -> None:
    """Write a dataset of calls, one per cell C0 and hour at half past, with a day left out."""
    (home / "datasets" / "calls.yaml").write_text(CALLS)
    suite = json.loads(json.dumps(tiny.SUITE | {"name": "calls"}))
    suite["expectations"] = suite["expectations"][:2]
    suite["expectations"][1]["kwargs"]["column_set"] = ["call_id", "begun", "cell_id", "megabytes"]
    (home / "expectations" / "calls.json").write_text(json.dumps(suite))
    for day in (tiny.START + timedelta(days=number) for number in range(tiny.DAYS)):
        if day == LOST:
            continue
        lines = [f"{day}-{hour},{day}T{hour:02}:30:00Z,C0,1.5" for hour in range(24)]
        folder = home / f".local/raw/calls/year={day:%Y}/month={day:%m}/day={day:%d}"
        folder.mkdir(parents=True)
        (folder / "calls.csv").write_text(
            "\n".join(["call_id,begun,cell_id,megabytes", *lines]) + "\n"
        )


@pytest.mark.usefixtures("hurry")
def test_a_night_ingests_and_joins_what_a_use_case_needs(champion_home: Path) -> None:
    """Both datasets are ingested, as far back as each is needed; a lost day of calls leaves
    features unknown wherever a window reaches into it, and the night goes on."""
    write_calls(champion_home)
    text = tiny.USE_CASE.replace("features: {current: [load_ratio, latency_ms]}\n", JOINED)
    homes.write_use_case(champion_home, "joined", text)
    night = daily(["joined"], AS_OF)
    days = {one.dataset: (one.start, len(one.missing)) for one in night.ingested}
    assert days == {
        "calls": (tiny.START - timedelta(days=1), 2),
        "kpis": (tiny.START, 0),
    }
    (trained,) = night.trained
    assert trained.table.features == ("load_ratio", "latency_ms", "calls_count_2h")
    (table,) = (
        entry["outputs"]["table"]
        for entry in homes.steps(champion_home)
        if entry["step"] == "assemble_table" and entry["config"]["place"] == "joined"
    )
    found = homes.load(champion_home, table).set_index(["entity", "time"])["calls_count_2h"]
    hours = found["C0"].index
    # of the lost day, and the two hours after it; the first hours look back on no day at all
    unknown = (hours >= str(LOST)) & (hours < f"{LOST + timedelta(days=1)} 02:00")
    unknown |= hours < f"{tiny.START} 02:00"
    assert found["C0"].isna().tolist() == unknown.tolist()
    assert set(found["C0"].dropna()) == {2.0} and set(found["C1"].dropna()) == {0.0}
