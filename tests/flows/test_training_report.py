"""The interactive report of a training: once in the lake, by its content, and in MLflow."""

from pathlib import Path

from rancast.documents import sha256
from tests.flows import homes


def test_the_report_lies_in_the_lake_and_in_mlflow(champion_home: Path) -> None:
    """One file named by its SHA-256, which the training's parent run has, too."""
    lake = homes.lake_files(champion_home)
    ((name, page),) = [item for item in lake.items() if item[0].startswith("reports/training/")]
    assert name == f"reports/training/tiny/{sha256(page)}.html"
    logged = list((champion_home / ".local" / "mlflow").rglob("report.html"))
    assert [path.read_bytes() for path in logged] == [page]
    assert homes.count_steps(champion_home)["report_training"] == 1
