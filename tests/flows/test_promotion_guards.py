"""What keeps a model from becoming champion although its gates passed, and what does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from flows.daily import daily
from rancast.errors import ModelRefused
from rancast.settings import load_settings
from tasks.registry import Registry
from tasks.stores import open_ledger
from tests.flows.conftest import AS_OF


def champion_alias() -> int | None:
    """Return the version that MLflow's alias names."""
    return Registry(load_settings().tracking).alias_of("tiny", "champion")


@pytest.mark.usefixtures("hurry", "new_home")
def test_a_version_that_fails_in_a_clean_process_is_not_promoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that does not reproduce its golden rows stops the run; nobody is champion, and what
    cannot pass is not tried again."""
    asked = []

    def refuse(*given: Any) -> None:
        asked.append(given)
        raise ModelRefused("golden row 3 differs")

    monkeypatch.setattr("tasks.promotion.verify_in_clean_process", refuse)
    with pytest.raises(ModelRefused, match="golden row 3"):
        daily(["tiny"], AS_OF)
    assert open_ledger().pointer("tiny") is None and champion_alias() is None
    assert len(asked) == 1


@pytest.mark.usefixtures("hurry")
def test_an_alias_without_a_pointer_is_not_taken_for_a_first_champion(champion_home: Path) -> None:
    """Where the ledger lost its pointer but the registry has a champion, nothing is promoted."""
    (champion_home / ".local/lake/ledger/promotions/tiny.json").unlink()
    outcome = daily(["tiny"], AS_OF).trained[0]
    assert not outcome.is_new_champion and "correct RANCAST_LAKE_URL" in " ".join(outcome.reasons)
    assert open_ledger().pointer("tiny") is None and champion_alias() == 1


@pytest.mark.usefixtures("hurry")
def test_a_champion_made_while_the_registry_is_asked_is_found(
    champion_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a copy of the run promotes after the ledger was read and before the registry was, the
    run finds that champion, which is its own candidate, and leaves nothing more in the ledger."""
    ledger = champion_home / ".local" / "lake" / "ledger"
    aside = (ledger / "promotions" / "tiny.json").rename(champion_home / "pointer.json")
    steps = sorted((ledger / "steps").iterdir())
    ask = Registry.alias_of

    def promote_meanwhile(registry: Registry, *given: str) -> int | None:
        if aside.exists():
            aside.rename(ledger / "promotions" / "tiny.json")
        return ask(registry, *given)

    monkeypatch.setattr(Registry, "alias_of", promote_meanwhile)
    outcome = daily(["tiny"], AS_OF).trained[0]
    assert outcome.decision is None and outcome.champion == 1
    assert sorted((ledger / "steps").iterdir()) == steps


@pytest.mark.usefixtures("hurry")
def test_a_model_refitted_on_the_holdout_is_judged_by_the_one_that_was_not(new_home: Path) -> None:
    """With refit_on_holdout the candidate is promoted on its holdout, and recorded as refitted."""
    path = new_home / "use_cases" / "tiny.yaml"
    path.write_text(path.read_text() + "refit_on_holdout: true\n")
    outcome = daily(["tiny"], AS_OF).trained[0]
    pointer = open_ledger().pointer("tiny")
    assert outcome.is_new_champion and pointer is not None
    assert pointer.champion.train_end > outcome.table.train.last.isoformat()


@pytest.mark.usefixtures("hurry")
def test_a_kept_version_whose_files_were_lost_can_still_be_promoted(new_home: Path) -> None:
    """Fitted once more after its model and ledger entries were lost, with other bytes, the version
    that is promoted is the registered one, with the digest of its first fit."""
    path = new_home / "use_cases" / "tiny.yaml"
    original = path.read_text()
    path.write_text(original.replace("gates: {", "gates: {floors: {mae: 0.0001}, "))
    kept = daily(["tiny"], AS_OF).trained[0]
    assert not kept.is_new_champion and open_ledger().pointer("tiny") is None
    lake = new_home / ".local" / "lake"
    shutil.rmtree(lake / "ledger" / "steps")
    shutil.rmtree(lake / "models")
    path.write_text(original)
    promoted = daily(["tiny"], AS_OF).trained[0]
    pointer = open_ledger().pointer("tiny")
    assert promoted.is_new_champion and promoted.version == kept.version and pointer is not None
    assert pointer.champion.model_sha256 == kept.model.digest != promoted.model.digest
