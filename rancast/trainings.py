"""One training as it is handed on: its fits and key, the champion it met, and how it ended."""

from datetime import date

from rancast.audit_findings import Audit, accepted_sentence
from rancast.champions import Pointer
from rancast.cluster_profiles import Clusters
from rancast.decisions import Contender, Decision
from rancast.documents import Document, digest
from rancast.evaluation import Evaluation
from rancast.judging import ChampionState, Entry, Readable, choose
from rancast.models import ModelCard
from rancast.references import Reference
from rancast.steps import Made
from rancast.tables import TableSummary
from rancast.use_cases import UseCase

Day = date


class FoundChampion(Document):
    """The ledger's pointer, what the registry says of it, and its model in the lake."""

    pointer: Pointer | None
    state: ChampionState
    model: Reference | None = None
    card: ModelCard | None = None
    predictions: Reference | None = None
    clusters: Clusters | None = None

    def scored(self, made: Made) -> "FoundChampion":
        """Return this with what it predicts on the holdout, or the reason why it could not."""
        verdict = made.fact("verdict", Readable)
        if verdict.reason is not None:
            state = self.state.model_copy(update={"reason": verdict.reason})
            return self.model_copy(update={"state": state})
        clusters = made.fact("clusters", Clusters) if "clusters" in made.facts else None
        found = {"predictions": made["predictions"], "clusters": clusters}
        return self.model_copy(update=found)

    def respected(self, decision: Decision) -> Decision:
        """Return the decision, or that to keep where people took this very model back before.

        Else a rerun of the training that had promoted it would undo a rollback.
        """
        taken = self.pointer.withdrawal_of(decision.fingerprint or "") if self.pointer else None
        if taken is None or not (decision.promote or decision.needs_approval):
            return decision
        reason = (
            f"This candidate was champion, until {taken.kind} of {taken.at:%Y-%m-%d %H:%M} UTC by "
            f"{taken.by} took it back ({' '.join(taken.reasons)}); only people promote it again."
        )
        kept = {"promote": False, "needs_approval": False, "reasons": (reason, *decision.reasons)}
        return decision.model_copy(update=kept)

    def is_already(self, fit: "Fit") -> bool:
        """Tell whether the champion is this very candidate, as on a rerun of its training."""
        return self.state.fingerprint == fit.fingerprint


class Fit(Document):
    """One fitted candidate with its evaluation, as tracking and promotion need it."""

    entry: Entry
    made: Made

    @classmethod
    def of(cls, made: Made, evaluation: Evaluation) -> "Fit":
        """Return a fit with its line of the leaderboard."""
        card = made.fact("card", ModelCard)
        return cls(
            entry=Entry(
                name=card.candidate,
                kind="candidate",
                fold_score=card.fold_score,
                evaluation=evaluation,
            ),
            made=made,
        )

    @property
    def fingerprint(self) -> str:
        """The step key of the fit: its table, candidate, configuration and code."""
        return self.made.key

    @property
    def contender(self) -> Contender:
        """What the gates see of the candidate."""
        return Contender(
            candidate=self.entry.name,
            fingerprint=self.fingerprint,
            evaluation=self.entry.evaluation,
        )

    @property
    def card(self) -> ModelCard:
        """What is needed to use the model."""
        return self.made.fact("card", ModelCard)

    @property
    def clusters(self) -> Clusters | None:
        """What a clustering's clusters are, by its own labels; None of other problems."""
        return self.made.fact("clusters", Clusters) if "clusters" in self.made.facts else None


class Training(Document):
    """One training as it is tracked: its key, its fits, and its baselines."""

    use_case: UseCase
    end: Day
    features: tuple[Made, ...]
    table: Made
    audit: Made
    fits: tuple[Fit, ...]
    baselines: Made
    baseline_entries: tuple[Entry, ...]

    @property
    def key(self) -> str:
        """The training key: the same table and the same fits are the same training."""
        return digest(
            [self.use_case.name, self.table["table"].digest, [fit.made.key for fit in self.fits]]
        )

    @property
    def made(self) -> tuple[Made, ...]:
        """Every step that computes something large."""
        fits = (fit.made for fit in self.fits)
        return (*self.features, self.table, self.audit, *fits, self.baselines)

    @property
    def audited(self) -> str:
        """What the leakage audit said of the table, and what people accepted of it."""
        found = self.audit.fact("data", Audit)
        accepted = accepted_sentence(found, self.use_case.audit.accept)
        return f"{found.verdict} {accepted}".rstrip()

    @property
    def best(self) -> Fit:
        """The fit that is judged: the one whose folds scored best."""
        chosen = choose([fit.entry for fit in self.fits], self.use_case.metric)
        return next(fit for fit in self.fits if fit.entry.name == chosen.name)


class Tracked(Document):
    """The MLflow runs of one training: the parent, and one per candidate by name.

    `report` is its interactive report in the lake: that of the present run, else the first one.
    """

    run_id: str
    candidates: dict[str, str]
    report: Reference | None = None


class TrainingOutcome(Document):
    """One training as a person wants to hear of it.

    `asked` says how a person was asked, where the use case leaves the decision to people;
    `is_new_champion` tells whether it was this training that changed the champion; on a rerun of
    one that did, `decision` is None, `reasons` are those of the promotion, and nothing changed.
    """

    use_case: str
    end: Day
    metric: str
    table: TableSummary
    leaderboard: tuple[Entry, ...]
    best: str
    fingerprint: str
    decision: Decision | None
    reasons: tuple[str, ...]
    version: int
    champion: int | None
    is_new_champion: bool
    run_id: str
    computed: int
    model: Reference
    report: Reference | None = None
    asked: str | None = None
    alert_budget: float | None = None
    audited: str = ""
    clusters: Clusters | None = None
    whose_clusters: str = ""

    def describing(
        self, best: Fit, found: FoundChampion, pointer: Pointer | None
    ) -> "TrainingOutcome":
        """Return this with the clusters of who is champion now, under the numbers people know.

        Before there is a champion they are those of the best candidate, by letters. Other
        problems than clustering have none.
        """
        clusters, whose = (
            best.clusters,
            f"Of {best.entry.name}, which is not champion, by letters: A is its own label 0.",
        )
        champion = pointer.champion if pointer else None
        if champion is not None and champion.label_map is not None:
            if champion.fingerprint != best.fingerprint:
                clusters = found.clusters
            clusters = clusters and clusters.numbered(champion.label_map)
            whose = f"Of the champion, version {champion.version}, by the numbers they keep."
        if clusters is None:
            return self
        return self.model_copy(update={"clusters": clusters, "whose_clusters": whose})


def conclude(
    training: Training,
    best: Fit,
    decision: Decision | None,
    pointer: Pointer | None,
    tracked: Tracked,
    version: int,
) -> TrainingOutcome:
    """Gather how a training ended, from what its steps handed back."""
    is_champion = pointer is not None and pointer.champion.version == version
    return TrainingOutcome(
        use_case=training.use_case.name,
        end=training.end,
        metric=training.use_case.metric,
        table=training.table.fact("summary", TableSummary),
        leaderboard=(*(fit.entry for fit in training.fits), *training.baseline_entries),
        best=best.entry.name,
        fingerprint=best.fingerprint,
        decision=decision,
        reasons=_reasons(decision, pointer),
        version=version,
        champion=pointer.champion.version if pointer else None,
        is_new_champion=decision is not None and decision.promote and is_champion,
        run_id=tracked.run_id,
        computed=sum(not made.is_reused for made in training.made),
        model=best.made["model"],
        alert_budget=best.card.alert_budget,
        audited=training.audited,
        report=tracked.report,
    )


def _reasons(decision: Decision | None, pointer: Pointer | None) -> tuple[str, ...]:
    if decision is not None:
        return decision.reasons
    return pointer.history[-1].reasons if pointer else ()
