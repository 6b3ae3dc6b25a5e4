"""People change the champion: by hand and back again, checked before and after, exactly once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments import history
from flows.daily import daily
from flows.promotion import promotion
from flows.rollback import rollback
from rancast.champions import Pointer
from rancast.errors import (
    ChampionChanged,
    ConfigurationError,
    ModelRefused,
    RancastError,
    RegistryUnreachable,
    RequestRefused,
)
from rancast.settings import load_settings
from tasks.registry import Registry
from tasks.stores import open_ledger
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF, against, in_a_hurry

NEXT = AS_OF + timedelta(days=1)


@pytest.fixture(scope="session")
def two_versions(
    settled_home: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: str
) -> Path:
    """A home after its second night: version 1 is champion, version 2 is registered; copy it."""
    folder = tmp_path_factory.mktemp("two-versions")
    homes.copy_home(settled_home, folder / "home")
    tiny.write_day(folder / "home", AS_OF)
    with (
        pytest.MonkeyPatch.context() as patch,
        against(prefect_server, folder / "results"),
        in_a_hurry(),
    ):
        patch.setenv("RANCAST_HOME", str(folder / "home"))
        kept = daily(["tiny"], NEXT).trained[0]
        assert (kept.version, kept.champion) == (2, 1)
    return folder / "home"


@pytest.fixture()
def kept_home(two_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own with a champion and a version that was kept."""
    home = tmp_path / "home"
    homes.copy_home(two_versions, home)
    monkeypatch.setenv("RANCAST_HOME", str(home))
    return home


def known() -> Pointer:
    """Return what the ledger says."""
    pointer = open_ledger().pointer("tiny")
    assert pointer is not None
    return pointer


def aliases() -> dict[str, int]:
    """Return what outsiders see."""
    return Registry(load_settings().tracking).aliases("tiny")


def history_artifact(flow_run: str | None) -> str:
    """Return the table that a run of a change left in the Prefect UI."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter

    wanted = {"flow_run_id": {"any_": [flow_run]}, "key": {"any_": ["champions-tiny"]}}
    with get_client(sync_client=True) as client:
        (found,) = client.read_artifacts(artifact_filter=ArtifactFilter.model_validate(wanted))
    return str(found.data)


@contextmanager
def as_run(flow_run: str | None) -> Iterator[None]:
    """Run flows under the id of an earlier run, as a retry of it does."""
    assert flow_run is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", flow_run)
        yield


@pytest.mark.usefixtures("hurry")
def test_by_hand_any_registered_version_becomes_champion_and_can_be_rolled_back(
    kept_home: Path,
) -> None:
    """A person promotes the version that the gates kept, and rolls it back: ledger, aliases and
    tags follow, and the history has who (as declared), why, in which run, and what before."""
    first = known()
    ending = promotion("tiny", 2, " it is quieter\nat night", declared_by="Ada")
    assert (ending.word, ending.champion) == ("Promoted", 2)
    made = known().history[-1]
    assert (made.kind, made.by, made.reasons) == ("manual", "Ada", ("it is quieter at night",))
    assert (made.previous, made.sequence, made.champion.version) == (1, 2, 2)
    assert aliases() == {"champion": 2, "previous": 1}
    tags = Registry(load_settings().tracking).tags_of("tiny", 2)
    assert tags is not None and tags["rancast.decision"] == "promote"

    back = rollback("tiny", "alarms")
    assert (back.word, back.champion) == ("Rolled back", 1)
    pointer = known()
    assert pointer.champion == first.champion and aliases() == {"champion": 1, "previous": 2}
    assert [entry.kind for entry in pointer.history] == ["promotion", "manual", "rollback"]
    assert pointer.history[-1].by == "not declared" and pointer.history[:1] == first.history
    assert len({entry.flow_run for entry in pointer.history}) == 3
    assert [entry.at for entry in pointer.history] == sorted(e.at for e in pointer.history)
    page = history_artifact(pointer.history[-1].flow_run)
    rows = [line for line in page.splitlines() if "ridge" in line]
    told = [("now", "rollback"), ("Ada", "manual"), ("schedule", "promotion")]
    assert len(rows) == len(told) and "by (as declared)" in page
    assert all(word in row for row, words in zip(rows, told, strict=True) for word in words)
    again = daily(["tiny"], NEXT).trained[0]
    assert again.champion == 1 and known() == pointer
    with pytest.raises(RequestRefused, match="no champion before it"):
        rollback("tiny", "further back")


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda: rollback("tiny", "why"), RequestRefused, "no champion before it"),
        (
            lambda: rollback("tiny", "why", version=1),
            RequestRefused,
            "champion of tiny already",
        ),
        (lambda: rollback("tiny", "why", version=2), RequestRefused, "was never champion"),
        (lambda: rollback("tiny", " "), RequestRefused, "reason is empty"),
        (lambda: rollback("tine", "why"), ConfigurationError, "'tine' not found; known: tiny"),
        (lambda: promotion("tiny", 1, "why", "Ada"), RequestRefused, "is the champion"),
        (lambda: promotion("tiny", 9, "why", "Ada"), RequestRefused, "no version 9 in"),
        (lambda: promotion("tiny", 2, "\n", "Ada"), RequestRefused, "reason is empty"),
        (lambda: promotion("tiny", 2, "y", " "), RequestRefused, "declared_by is empty"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    kept_home: Path, call: Callable[[], Any], error: type[RancastError], sentence: str
) -> None:
    """A missing reason or name, an unknown use case or version, and the present champion are told
    apart, each with the next step; lake and registry stay as they were."""
    before = homes.lake_files(kept_home), homes.registry(kept_home)
    with pytest.raises(error, match=sentence):
        call()
    assert (homes.lake_files(kept_home), homes.registry(kept_home)) == before


@pytest.mark.usefixtures("hurry")
def test_a_version_that_this_lake_did_not_register_is_refused(kept_home: Path) -> None:
    """What somebody registered in MLflow, even with copied tags, is no version of ours."""
    registry = Registry(load_settings().tracking)
    tags = registry.tags_of("tiny", 2)
    assert tags is not None
    run = registry._client.get_model_version("tiny", "2")
    registry._client.create_model_version("tiny", run.source, run.run_id, tags)
    with pytest.raises(ModelRefused, match="Version 3 of tiny .* is not one that this lake's"):
        promotion("tiny", 3, "why", "Mallory")
    assert known().sequence == 1 and aliases() == {"champion": 1}


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("name, sentence", [("model.skops", "SHA-256"), ("MLmodel", "signature")])
def test_a_damaged_version_is_refused_before_anything_is_touched(
    kept_home: Path, name: str, sentence: str
) -> None:
    """Other bytes than those recorded, or a description that cannot be read, promote nobody."""
    homes.model_file(kept_home, 2).with_name(name).write_bytes(b"other")
    with pytest.raises(ModelRefused, match=sentence):
        promotion("tiny", 2, "why", "Ada")
    assert known().sequence == 1 and aliases() == {"champion": 1}


@pytest.mark.usefixtures("hurry")
def test_a_model_whose_features_are_gone_is_refused(kept_home: Path) -> None:
    """A version that needs a feature that the use case no longer makes cannot be used."""
    path = kept_home / "use_cases" / "tiny.yaml"
    path.write_text(path.read_text().replace("[load_ratio, latency_ms]", "[latency_ms]"))
    with pytest.raises(ModelRefused, match="needs the features load_ratio, which use case tiny"):
        promotion("tiny", 2, "why", "Ada")
    assert known().sequence == 1


def tamper_bytes(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Change the stored model of version 2."""
    homes.model_file(home, 2).write_bytes(b"other")


def tamper_alias(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Move the alias by hand, and again whenever it is put right."""
    set_alias = Registry._set_alias

    def moved_again(self: Registry, use_case: str, alias: str, version: int | None) -> None:
        wanted = 1 if (alias, version) == ("champion", 2) else version
        set_alias(self, use_case, alias, wanted)

    move_aliases_back()
    patch.setattr(Registry, "_set_alias", moved_again)


def move_aliases_back() -> None:
    """Set the aliases of before, as a run does that read the ledger before the change."""
    Registry(load_settings().tracking).set_aliases("tiny", 1, None)


def before_the_check(patch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Have something happen between a change and the look at it."""
    from tasks import promotion as tasks_promotion

    look = tasks_promotion.check_champion.fn

    def late(change: Any) -> Any:
        action()
        return look(change)

    patch.setattr(tasks_promotion.check_champion, "fn", late)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    "tamper, sentence",
    [(tamper_bytes, "SHA-256"), (tamper_alias, "somebody else keeps setting them")],
)
def test_a_champion_that_fails_its_check_is_taken_back(
    kept_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    tamper: Callable[[Path, pytest.MonkeyPatch], None],
    sentence: str,
) -> None:
    """Changed bytes, and an alias that somebody keeps moving, are seen after the change: one more
    entry makes the champion before champion again, the aliases follow, and the run says why."""
    before_the_check(monkeypatch, lambda: tamper(kept_home, monkeypatch))
    with pytest.raises(ModelRefused, match=f"champion before is champion again: .*{sentence}"):
        promotion("tiny", 2, "why", "Ada")
    pointer = known()
    assert [(e.kind, e.champion.version) for e in pointer.history] == [
        ("promotion", 1),
        ("manual", 2),
        ("revert", 1),
    ]
    assert sentence in pointer.history[-1].reasons[0]
    assert aliases() == {"champion": 1, "previous": 2}


@pytest.mark.usefixtures("hurry")
def test_aliases_that_were_moved_meanwhile_take_nothing_back(
    kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that read the ledger before the change may set the aliases of before once more: they
    are put right, and the change stays."""
    before_the_check(monkeypatch, move_aliases_back)
    assert promotion("tiny", 2, "why", "Ada").word == "Promoted"
    assert [entry.kind for entry in known().history] == ["promotion", "manual"]
    assert aliases() == {"champion": 2, "previous": 1}


@pytest.mark.usefixtures("hurry")
def test_a_registry_that_does_not_answer_afterwards_takes_nothing_back(
    kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence says nothing about the champion: the run fails, the change stays, a retry checks."""
    from tasks import promotion as tasks_promotion

    def silent(*given: Any) -> None:
        raise RegistryUnreachable("no usable answer")

    monkeypatch.setattr(tasks_promotion.check_champion, "retry_delay_seconds", 0)
    monkeypatch.setattr(Registry, "alias_of", silent)
    with pytest.raises(RegistryUnreachable):
        promotion("tiny", 2, "why", "Ada")
    assert known().champion.version == 2 and known().sequence == 2


@pytest.mark.usefixtures("hurry")
def test_a_run_that_has_moved_the_champion_goes_on_from_there(
    kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again under the same id, a promotion and a rollback change nothing a second time, also
    where their results were lost; the rollback does not go back once more."""
    promotion("tiny", 2, "why", "Ada")
    rollback("tiny", "alarms")
    before = known()
    by_hand, back = before.history[1:]
    with as_run(by_hand.flow_run):
        promotion("tiny", 2, "why", "Ada")
    with as_run(back.flow_run):
        rollback("tiny", "alarms")
    assert known() == before and aliases() == {"champion": 1, "previous": 2}


@pytest.mark.usefixtures("hurry")
def test_a_change_asked_for_before_the_champion_changed_is_refused(kept_home: Path) -> None:
    """A run that was created before the last change was meant for another champion: a rollback
    that was pressed twice goes back once."""
    promotion("tiny", 2, "why", "Ada")
    before = known()
    with as_run(before.history[0].flow_run), pytest.raises(ChampionChanged, match="after this run"):
        rollback("tiny", "alarms")
    assert known() == before


@pytest.mark.usefixtures("hurry")
def test_of_two_rollbacks_at_once_one_is_made(
    kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned against the same champion, one moves it, and the other is told so and moves nothing,
    although its own target is champion now."""
    from tasks import promotion as tasks_promotion

    promotion("tiny", 2, "why", "Ada")
    look = tasks_promotion.check_target.fn

    def overtaken(change: Any) -> None:
        monkeypatch.setattr(tasks_promotion.check_target, "fn", look)
        rollback("tiny", "alarms", declared_by="Grace")
        look(change)

    monkeypatch.setattr(tasks_promotion.check_target, "fn", overtaken)
    with pytest.raises(ChampionChanged, match="its version is now 1. Look at the history"):
        rollback("tiny", "alarms", declared_by="Ada")
    assert [(e.kind, e.by) for e in known().history[2:]] == [("rollback", "Grace")]


@pytest.mark.usefixtures("hurry")
def test_a_rerun_of_the_training_does_not_undo_a_rollback(kept_home: Path) -> None:
    """A candidate that was promoted by the gates and rolled back by people is not promoted by the
    same gates again."""
    path = kept_home / "use_cases" / "tiny.yaml"
    usual = path.read_text()
    path.write_text(usual.replace("  - {name: ridge, estimator: Ridge, impute: true}\n", ""))
    weak = daily(["tiny"], NEXT).trained[0]
    promotion("tiny", weak.version, "to have a weak champion", declared_by="Ada")
    path.write_text(usual)
    assert daily(["tiny"], NEXT).trained[0].is_new_champion
    rollback("tiny", "alarms", declared_by="Ada")
    before = known()
    outcome = daily(["tiny"], NEXT).trained[0]
    assert (outcome.version, outcome.champion, outcome.is_new_champion) == (2, weak.version, False)
    assert "by Ada took it back (alarms)" in outcome.reasons[0]
    assert known() == before


@pytest.mark.usefixtures("hurry")
def test_the_history_answers_who_was_champion_when(
    kept_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make history` prints every champion with who and why, and the one at a time."""
    promotion("tiny", 2, "quieter", declared_by="Ada")
    entries = known().history
    assert history.main(["tiny"]) == 0
    table = capsys.readouterr().out
    assert "by (as declared)" in table and "Ada" in table and "    quieter" in table
    between = f"{entries[1].at - timedelta(milliseconds=1):%Y-%m-%dT%H:%M:%S.%f}"
    for moment, answer in (
        (between, "version 1 (ridge) was champion of tiny"),
        (entries[1].at.isoformat(), "by manual of Ada (as declared): quieter"),
        ("2024-01-01", "had no champion yet"),
    ):
        assert history.main(["tiny", moment]) == 0
        assert answer in capsys.readouterr().out
    assert history.main(["tiny", "yesterday"]) == 1
    assert "'yesterday' is not a time" in capsys.readouterr().err
