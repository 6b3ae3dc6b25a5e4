"""From a folder of a vendor's CSV files to a champion, by what make onboard drafts, no Python."""

import re
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deployments import layout, onboard
from flows.daily import daily

CELLS, DAYS = 10, 12


def vendor_files(folder: Path) -> Path:
    """Write one file per local week: semicolons, per cent with a comma, an hour's end in Dublin.

    The hour after a busy one is slow, so that there is something to learn.
    """
    hours = pd.date_range("2024-03-04", periods=24 * DAYS, freq="h", tz="Europe/Dublin")
    frames = []
    for cell in range(CELLS):
        random = np.random.default_rng(cell)
        load = 100 * random.random(len(hours))
        latency = 20 + 0.4 * np.roll(load, 1) + random.normal(0, 4, len(hours))
        columns = {"End Time": hours + pd.Timedelta("1h"), "CellName": f"Cork-{cell}"}
        frames.append(pd.DataFrame({**columns, "Load [%]": load, "Latency (ms)": latency}))
    rows = pd.concat(frames).sort_values(["End Time", "CellName"])
    folder.mkdir()
    for week, part in rows.groupby(rows["End Time"].dt.isocalendar().week):
        text = part.assign(**{"End Time": part["End Time"].dt.strftime("%d.%m.%Y %H:%M")})
        path = folder / f"PM_{week}.csv"
        text.to_csv(path, sep=";", decimal=",", index=False, float_format="%.3f")
    return folder


@pytest.mark.usefixtures("hurry")
def test_a_vendors_folder_becomes_a_champion(
    tmp_path: Path,
    new_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Drafted, laid out and trained by the three commands of the onboarding page: every row is
    curated, and the model that is promoted beats the trivial forecasts."""
    folder = str(vendor_files(tmp_path / "vendor"))
    monkeypatch.setattr(sys, "argv", ["onboard", folder, "cork_kpi", "--use-case", "cork_latency"])
    assert onboard.main() == 0
    correct(new_home / "datasets" / "cork_kpi.yaml", "timezone: UTC", "timezone: Europe/Dublin")
    # three days of twelve are too few to be judged by
    correct(new_home / "use_cases" / "cork_latency.yaml", "holdout: 3d", "holdout: 5d")
    monkeypatch.setattr(sys, "argv", ["layout", folder, "cork_kpi"])
    assert layout.main() == 0
    names, *day = re.findall(r"daily\((.*), date\((\d+), (\d+), (\d+)\)", capsys.readouterr().out)[
        0
    ]
    assert (names, day) == ("['cork_latency']", ["2024", "3", "16"])
    night = daily(["cork_latency"], date(*map(int, day)))
    (ingested,), (trained,) = night.ingested, night.trained
    rows = [partition.rows for partition in ingested.partitions]
    assert sum(one.raw for one in rows) == sum(one.curated for one in rows) == CELLS * DAYS * 24
    assert trained.is_new_champion, trained.reasons


def correct(path: Path, guess: str, known: str) -> None:
    """Replace a guess of a draft by what a person knows."""
    text = path.read_text()
    assert text.count(guess) == 1
    path.write_text(text.replace(guess, known))
