"""The leakage audit on the way of a training: what it stops, shows and leaves in the registry."""

import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flows.training import training
from rancast import audit, calls
from rancast.audit_findings import Bounds
from rancast.audit_material import AuditView
from rancast.errors import TableRefused
from rancast.use_cases import UseCase
from tests.flows import homes
from tests.flows.test_artifacts import pages_of, run_of
from tests.markdown import rows_of

AS_OF = date(2024, 3, 5)


@pytest.mark.usefixtures("hurry")
def test_a_refused_table_fits_nothing_until_somebody_accepts_it(
    champion_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails with the column named and shows its table; accepted, it goes on without a
    second audit, and the version says by what reason."""

    def strict(case: UseCase) -> AuditView:
        return audit.view_of(case).model_copy(update={"bounds": Bounds(r2=0.5)})

    monkeypatch.setattr(calls, "view_of", strict)
    homes.write_use_case(champion_home, "leaky")
    state: Any = training("leaky", AS_OF, return_state=True)
    with pytest.raises(TableRefused, match="load_ratio alone tells the label.*audit.accept"):
        state.result()
    shown = pages_of(run_of(state))
    outcomes = {row["question"]: row["outcome"] for row in rows_of(shown["audit-leaky"])}
    assert outcomes["does no single feature tell the label?"] == "refused"
    (what_to_do,) = (page for key, page in shown.items() if key.startswith("what-to-do"))
    assert "operations.md#tablerefused" in what_to_do
    assert steps_of(champion_home, "leaky") == {"build_features", "assemble_table", "audit_table"}

    before = homes.count_steps(champion_home)["audit_table"]
    path = champion_home / "use_cases" / "leaky.yaml"
    path.write_text(path.read_text() + 'audit: {accept: {single_feature: "an hour is short"}}\n')
    outcome = training("leaky", AS_OF)
    assert homes.count_steps(champion_home)["audit_table"] == before
    assert outcome.audited.endswith("single feature accepted: an hour is short")
    assert tag(champion_home, "leaky", "rancast.audit") == outcome.audited


def steps_of(home: Path, use_case: str) -> set[str]:
    """The steps that the ledger knows of one use case."""
    return {
        entry["step"] for entry in homes.steps(home) if entry["config"].get("place") == use_case
    }


def tag(home: Path, model: str, key: str) -> str:
    """A tag of the only version of a registered model."""
    query = "SELECT value FROM model_version_tags WHERE name = ? AND key = ?"
    with sqlite3.connect(home / ".local" / "mlflow" / "mlflow.db") as database:
        ((value,),) = database.execute(query, (model, key)).fetchall()
    return str(value)
