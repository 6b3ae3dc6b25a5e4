"""The notebooks: clean as committed, and run on a lake with a champion they find what is there."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import black
import nbformat
import pytest
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from tests.faults import tiny
from tests.flows import homes

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODE = black.Mode(line_length=100)
LAST_CELL = "import json\nprint(json.dumps(%s, default=str))"

Results = Callable[[str, str], Any]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_as_committed_they_are_clean(path: Path) -> None:
    """Valid, normalised, without outputs and counts, and black would change no cell."""
    book = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(book)
    assert nbformat.writes(book) + "\n" == path.read_text(encoding="utf-8")
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            assert black.format_str(cell.source, mode=MODE).rstrip("\n") == cell.source


@pytest.fixture()
def results(champion_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Results]:
    """Run a notebook on the home with a champion; return what an expression is at its end.

    All share one kernel, whose start and imports take longer than all their cells; names are
    forgotten in between.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(champion_home / "ipython"))
    clients: list[NotebookClient] = []

    def run(name: str, expression: str) -> Any:
        book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        book.cells.insert(0, new_code_cell("%reset -f"))
        book.cells.append(new_code_cell(LAST_CELL % expression))
        client = NotebookClient(book, km=clients[0].km if clients else None, timeout=300)
        clients.append(client)
        with client.setup_kernel(cleanup_kc=False, cwd=str(champion_home)):
            for index, cell in enumerate(book.cells):
                client.execute_cell(cell, index)
            client.kc.stop_channels()
        return json.loads(book.cells[-1].outputs[0].text)

    yield run
    run_sync(clients[0].km.shutdown_kernel)(now=True)


def test_they_find_what_is_there(results: Results, champion_home: Path) -> None:
    """Four days of 144 rows with a broken one each, with busy hours and nobody asleep; a first
    champion that beats the last value."""
    homes.declare(champion_home, homes.SLEEPING)
    counts = results(
        "explore_lake",
        '{"busy": busy["entity"].value_counts().to_dict(), "asleep": len(asleep),'
        ' "rows": days[["raw", "curated", "quarantined"]].sum().tolist(), "days": len(days),'
        ' "rules": by_rule["rows"].tolist(), "features": list(features.columns)}',
    )
    assert counts == {
        "busy": dict.fromkeys([*(f"C{cell}" for cell in range(tiny.CELLS)), "network"], 4),
        "asleep": 0,
        "rows": [576, 572, 4],
        "days": 4,
        "rules": [4],
        "features": ["cell_id", "timestamp", "load_ratio", "latency_ms"],
    }
    found = results(
        "compare_champions",
        '{"version": int(newest["version"]), "candidate": newest["candidate"],'
        ' "champion": champion.version, "rows": int(comparison["rows"].iloc[0]),'
        ' "against": comparison["improvement"].to_dict()}',
    )
    assert (found["version"], found["champion"], found["candidate"]) == (1, 1, "ridge")
    against = found["against"]
    assert against["champion, version 1"] == 0 and found["rows"] > 100
    assert min(against["last_value"], against["majority"]) > 0.3
