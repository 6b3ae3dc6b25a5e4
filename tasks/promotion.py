"""Who is champion, and how that changes: ledger first, then aliases, then a look at both."""

from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from rancast.approvals import Answer, Question
from rancast.champions import (
    Champion,
    Change,
    Check,
    Kind,
    Pointer,
    Promotion,
    check_inputs,
    declared,
    rollback_target,
    stated,
)
from rancast.decisions import Decision
from rancast.documents import canonical_json
from rancast.errors import (
    ChampionChanged,
    ModelRefused,
    RegistryError,
    RegistryUnreachable,
    RequestRefused,
    WriteConflict,
)
from rancast.judging import ChampionState
from rancast.label_maps import Labelled, LabelMap, label_map
from rancast.models import load
from rancast.references import Reference
from rancast.settings import load_settings
from rancast.trainings import Fit, FoundChampion, Training
from rancast.use_cases import load_use_case
from tasks.clock import now
from tasks.redaction import redacted
from tasks.registry import Registry, StoredModel, verify_in_clean_process
from tasks.retrying import retried_task
from tasks.runs import present_run
from tasks.steps import load_frame
from tasks.stores import open_lake, open_ledger
from tasks.tracking import pinned_sha256, pinned_version

# --- by schedule --------------------------------------------------------------------------------


@task(cache_policy=NO_CACHE, task_run_name="champion of {use_case}")
@redacted
def find_champion(use_case: str) -> FoundChampion:
    """Say who is champion by the ledger, and whether the registry has that very model.

    An unreachable registry or an unreadable champion is a reason not to promote, not an error.
    Raises RegistryError where a registry that answers does not hold the champion at all.
    """
    pointer = open_ledger().pointer(use_case)
    registry = Registry(load_settings().tracking)
    if pointer is None:
        vacant = _vacant(registry, use_case)
        pointer = open_ledger().pointer(use_case)
        if pointer is None:
            return FoundChampion(pointer=None, state=vacant)
        # else a copy of this run promoted the first champion while the registry was asked
    champion = pointer.champion
    known = ChampionState(
        version=champion.version,
        fingerprint=champion.fingerprint,
        train_end=champion.train_end,
        has_registry_answered=True,
    )
    try:
        stored = None
        if registry.fingerprint_of(use_case, champion.version) == champion.fingerprint:
            stored = registry.download_model(use_case, champion.version, champion.model_sha256)
    except (RegistryError, ModelRefused) as error:
        return FoundChampion(pointer=pointer, state=known.model_copy(update={"reason": str(error)}))
    if stored is None:
        # its next versions would get numbers that ledger and aliases take for other models
        raise RegistryError(
            f"The ledger names version {champion.version} ({champion.fingerprint[:12]}) champion of"
            f" {use_case}, but the registry at {registry.place} has no such version; point "
            "MLFLOW_TRACKING_URI at the registry that holds it, or restore that from a backup."
        )
    uri = f"models/{use_case}/{champion.model_sha256}.skops"
    open_lake().write_if_absent(uri, stored.model)
    model = Reference(uri=uri, digest=champion.model_sha256, key=champion.fingerprint)
    return FoundChampion(pointer=pointer, state=known, model=model, card=stored.card)


@retried_task("apply decision")
def apply_decision(
    training: Training, fit: Fit, version: int, found: FoundChampion, decision: Decision | None
) -> Pointer | None:
    """Carry a decision out, exactly once: the ledger first, then the aliases that follow it.

    `decision` is None where the candidate already is champion. A promotion needs the version to
    load in a clean process and to reproduce its golden rows. Raises WriteConflict where the
    champion changed since the decision was made, and ModelRefused where the version fails.
    """
    name, ledger = training.use_case.name, open_ledger()
    registry = Registry(load_settings().tracking)
    if decision is not None and decision.promote:
        stored = registry.download_model(name, version, pinned_sha256(name, fit.fingerprint))
        verify_in_clean_process(stored.model, stored.card, stored.golden)
        numbers = _label_map(name, fit.fingerprint, stored, found.pointer)
        promotion = _promotion(training, fit, version, found, decision)
        ledger.advance(name, found.pointer, promotion.labelled(numbers))
    return _follow(registry, name, version, decision)


def _promotion(
    training: Training, fit: Fit, version: int, found: FoundChampion, decision: Decision
) -> Promotion:
    change = Change(
        use_case=training.use_case.name,
        kind="promotion",
        champion=Champion(
            version=version,
            fingerprint=fit.fingerprint,
            model_sha256=pinned_sha256(training.use_case.name, fit.fingerprint),
            candidate=fit.entry.name,
            training_key=training.key,
            train_end=fit.card.train_end,
        ),
        expected=found.pointer,
        reasons=decision.reasons,
        by="schedule",
        flow_run=flow_run.id,
    )
    return change.entry(now())


def _label_map(
    use_case: str, fingerprint: str, stored: StoredModel, pointer: Pointer | None
) -> LabelMap | None:
    """Return the numbers that a clustering's labels get as champion, None of other problems.

    They are carried over from the present champion on the rows that the new model was trained with
    and judged on. A champion whose file is refused gives its numbers to nobody.
    """
    if stored.card.problem != "clustering":
        return None
    entry = open_ledger().step(fingerprint)
    if entry is None:
        raise ModelRefused(
            f"The ledger has no step {fingerprint[:12]} that made this model of {use_case}, so "
            "that its clusters cannot be numbered; train again."
        )
    table = load_frame(Reference.model_validate(entry.inputs["table"]))
    new = Labelled(load(stored.model, stored.card.model_sha256), stored.card, {})
    champion = _labelled_champion(use_case, pointer)
    return label_map(table, new, champion, pointer.used_labels if pointer else 0)


def _labelled_champion(use_case: str, pointer: Pointer | None) -> Labelled | None:
    numbers = pointer.champion.label_map if pointer else None
    if pointer is None or numbers is None:
        return None
    champion, registry = pointer.champion, Registry(load_settings().tracking)
    try:
        stored = registry.download_model(use_case, champion.version, champion.model_sha256)
        model = load(stored.model, champion.model_sha256)
    except ModelRefused:
        return None
    return Labelled(model, stored.card, numbers)


def _vacant(registry: Registry, use_case: str) -> ChampionState:
    try:
        held = registry.alias_of(use_case, "champion")
    except RegistryError as error:
        return ChampionState(has_registry_answered=False, reason=str(error))
    if held is not None:
        # the ledger always moves first: an alias without a pointer belongs to another lake
        reason = (
            f"the registry at {registry.place} has version {held} as champion, but this lake's "
            "ledger names none; correct RANCAST_LAKE_URL, restore ledger/promotions/ from a "
            "backup, or remove the alias"
        )
        return ChampionState(has_registry_answered=True, reason=reason)
    return ChampionState(has_registry_answered=True)


# --- by people: plan, check, move, look, and take back ------------------------------------------


@retried_task("plan")
def plan_promotion(use_case: str, version: int, reason: str, declared_by: str) -> Change:
    """Plan to make a registered version champion because a person said so.

    Raises RequestRefused for an empty reason, for the present champion, and for a version that
    does not exist, ModelRefused for one that this lake did not register, and ChampionChanged where
    the champion changed after this run was asked for.
    """
    reasons, by = (stated(reason, "reason"),), declared(declared_by)

    def target(pointer: Pointer | None) -> int:
        _expect_unchanged(use_case, pointer)
        if pointer is not None and pointer.champion.version == version:
            raise RequestRefused(
                f"Version {version} is the champion of {use_case} already; there is nothing to do."
            )
        return version

    return _plan(use_case, "manual", reasons, by, target)


@retried_task("plan")
def plan_approved(question: Question, answer: Answer) -> Change:
    """Plan the promotion that a person approved.

    Raises WriteConflict if the champion changed, and ModelRefused where the version is not the
    model that the question was about, as in a registry that was set up anew meanwhile.
    """
    use_case, version = question.use_case, question.version

    def target(pointer: Pointer | None) -> int:
        if (pointer.sequence if pointer else 0) != question.sequence:
            raise WriteConflict(
                f"The champion of {use_case} changed while the answer about version {version} was "
                "being carried out. Retry this run, which has the training decide again."
            )
        return version

    reasons = (answer.reason, *question.reasons)
    change = _plan(use_case, "approval", reasons, answer.by, target)
    if change.champion.fingerprint != question.fingerprint:
        raise ModelRefused(
            f"Version {version} of {use_case} carries the fingerprint "
            f"{change.champion.fingerprint[:12]}, but the question was about "
            f"{question.fingerprint[:12]}; run the training again, which asks about the new one."
        )
    return change


@retried_task("plan")
def plan_rollback(
    use_case: str, reason: str, version: int | None, declared_by: str | None
) -> Change:
    """Plan to go back to `version`, by default to the champion before the present one.

    Raises RequestRefused for an empty reason, for the present champion, and for a version that
    never was champion; ModelRefused and ChampionChanged as `plan_promotion` does.
    """
    reasons, by = (stated(reason, "reason"),), declared(declared_by)

    def target(pointer: Pointer | None) -> int:
        _expect_unchanged(use_case, pointer)
        return rollback_target(pointer, use_case, version)

    return _plan(use_case, "rollback", reasons, by, target)


def _plan(
    use_case: str,
    kind: Kind,
    reasons: tuple[str, ...],
    by: str,
    target: Callable[[Pointer | None], int],
) -> Change:
    pointer = open_ledger().pointer(use_case)
    made = pointer.entry_of(flow_run.id, kind) if pointer else None
    # a retry of a run that has moved the champion already goes on from there
    champion = made.champion if made else _registered(use_case, target(pointer), pointer)
    return Change(
        use_case=use_case,
        kind=kind,
        champion=champion,
        expected=pointer,
        reasons=reasons,
        by=by,
        flow_run=flow_run.id,
    )


def _expect_unchanged(use_case: str, pointer: Pointer | None) -> None:
    """Refuse a change that was asked for while somebody else was champion.

    Else a rollback that was pressed twice would go back twice.
    """
    run = present_run()
    if pointer is None or run is None or pointer.history[-1].at <= run.created:
        return
    last = pointer.history[-1]
    raise ChampionChanged(
        f"The champion of {use_case} changed to version {last.champion.version} at "
        f"{last.at:%Y-%m-%d %H:%M:%S} UTC ({last.kind}, by {last.by}), after this run was asked "
        f"for at {run.created:%H:%M:%S}; look at the history, and start a new run if it is still "
        "wanted."
    )


def _registered(use_case: str, version: int, pointer: Pointer | None) -> Champion:
    """Return a version as the ledger pins it, whether it was champion before or never was.

    What the registry says of it is believed only where the ledger says the same: anybody who may
    write to MLflow can set tags.
    """
    former = pointer.former(version) if pointer else None
    registry = Registry(load_settings().tracking)
    tags = registry.tags_of(use_case, version)
    if tags is None:
        raise RequestRefused(
            f"Use case {use_case} has no version {version} in the registry at {registry.place}; "
            "look up its versions in MLflow, under Models."
        )
    if former is not None:
        return former
    fingerprint = tags.get("rancast.fingerprint", "")
    if pinned_version(use_case, fingerprint) != version:
        raise ModelRefused(
            f"Version {version} of {use_case} in the registry at {registry.place} is not one that "
            "this lake's ledger registered; promote one that a training of this installation made."
        )
    sha256 = pinned_sha256(use_case, fingerprint)
    stored = registry.download_model(use_case, version, sha256)
    return Champion(
        version=version,
        fingerprint=fingerprint,
        model_sha256=sha256,
        candidate=stored.card.candidate,
        training_key=tags.get("rancast.training_key", ""),
        train_end=stored.card.train_end,
        label_map=_label_map(use_case, fingerprint, stored, pointer),
    )


@retried_task("check version")
def check_target(change: Change) -> None:
    """See that a version can be used before anything is touched.

    Its bytes have the recorded SHA-256, the use case makes the features that card and signature
    name, and in a clean process it reproduces its golden rows. Raises ModelRefused otherwise.
    """
    _check(Registry(load_settings().tracking), change)


@retried_task("move champion")
def move_champion(change: Change) -> Pointer:
    """Make the change, exactly once: the ledger first, then the aliases that follow it.

    Raises WriteConflict where the champion is no longer the one that the change was planned
    against.
    """
    moved = open_ledger().advance(change.use_case, change.expected, change.entry(now()))
    registry = Registry(load_settings().tracking)
    return _follow(registry, change.use_case, change.champion.version, None) or moved


@retried_task("check champion")
def check_champion(change: Change) -> Check:
    """See that alias, version, bytes and golden rows are those of the champion just made.

    An alias that was moved meanwhile is put right, since the ledger decides; only one that does
    not hold is a finding. A registry that does not answer is none, but an error, since it says
    nothing about the champion. Where somebody else has changed the champion since, there is
    nothing to find.
    """
    pointer = open_ledger().pointer(change.use_case)
    reverted = pointer.entry_of(flow_run.id, "revert") if pointer else None
    if reverted is not None:
        return Check(failure=" ".join(reverted.reasons))
    if pointer is None or pointer.champion != change.champion:
        return Check(failure=None)
    name, version = change.use_case, change.champion.version
    registry = Registry(load_settings().tracking)
    try:
        if registry.alias_of(name, "champion") != version:
            # a run that read the ledger before this change sets the aliases back for a moment
            _follow(registry, name, version, None)
        _check(registry, change)
    except RegistryUnreachable:
        raise
    except (RegistryError, ModelRefused) as error:
        return Check(failure=str(error))
    return Check(failure=None)


@retried_task("take back")
def undo_change(change: Change, failure: str) -> Pointer:
    """Make the champion before champion again, by one more entry of the history.

    Raises RegistryError where there was none.
    """
    name, ledger = change.use_case, open_ledger()
    pointer = ledger.pointer(name)
    if pointer is not None and pointer.entry_of(flow_run.id, "revert") is None:
        pointer = ledger.advance(name, pointer, change.revert(pointer, failure, now()))
    followed = _follow(Registry(load_settings().tracking), name, change.champion.version, None)
    if followed is None:
        raise RegistryError(f"The ledger has no champion of {name} any more; restore the lake.")
    return followed


def _check(registry: Registry, change: Change) -> None:
    name, champion = change.use_case, change.champion
    found = registry.fingerprint_of(name, champion.version)
    if found != champion.fingerprint:
        raise ModelRefused(
            f"Version {champion.version} of {name} at {registry.place} carries the fingerprint "
            f"{(found or 'none')[:12]}, recorded is {champion.fingerprint[:12]}; point "
            "MLFLOW_TRACKING_URI at the registry that this lake was used with."
        )
    stored = registry.download_model(name, champion.version, champion.model_sha256)
    use_case = load_use_case(load_settings().home, name)
    check_inputs(stored.card, registry.inputs_of(name, champion.version), use_case)
    verify_in_clean_process(stored.model, stored.card, stored.golden)


# --- the registry follows -----------------------------------------------------------------------


def _follow(
    registry: Registry, use_case: str, version: int, decision: Decision | None
) -> Pointer | None:
    """Have the aliases and a version's tags say what the ledger says; return its pointer."""
    ledger = open_ledger()
    pointer = ledger.pointer(use_case)
    while True:
        registry.tag_version(use_case, version, _decision_tags(version, pointer, decision))
        if pointer is not None:
            registry.set_aliases(use_case, pointer.champion.version, pointer.previous)
        latest = ledger.pointer(use_case)
        if latest == pointer:
            return pointer
        pointer = latest  # somebody else promoted meanwhile, and the aliases follow the ledger


def _decision_tags(
    version: int, pointer: Pointer | None, decision: Decision | None
) -> dict[str, str]:
    """Say of a version whether it was promoted, by the history, or else why it was not."""
    history = pointer.history if pointer else ()
    promoted = [
        entry.reasons
        for entry in history
        if entry.champion.version == version and entry.kind != "revert"
    ]
    reasons = promoted[-1] if promoted else decision.reasons if decision else ()
    word = "promote" if promoted else "keep"
    tags = {"rancast.decision": word, "rancast.reasons": " ".join(reasons)[:4000]}
    former = pointer.former(version) if pointer else None
    if former is not None and former.label_map is not None:
        tags["rancast.label_map"] = canonical_json(former.label_map).decode()
    return tags
