"""Small results of ingests and trainings, as tests of what is said about them need them."""

from datetime import UTC, date, datetime
from typing import Any

from rancast.audit_findings import Audit, Check, Finding
from rancast.audit_rules import Rule
from rancast.champions import Champion, Kind, Pointer, Promotion
from rancast.decisions import Decision, GateResult
from rancast.evaluation import Evaluation, Interval
from rancast.judging import Entry
from rancast.manifests import PartitionFacts
from rancast.models import ModelCard
from rancast.partition_results import ExpectationResult
from rancast.references import Reference, RowCounts
from rancast.steps import Made
from rancast.tables import Part, TableSummary
from rancast.trainings import Fit, Training
from rancast.use_cases import UseCase
from rancast.windows import Ingested

START, END = date(2024, 3, 1), date(2024, 3, 5)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)


def partition(day: int, **changes: Any) -> PartitionFacts:
    """What one day of March 2024 brought: 10 rows, of which one broke a rule."""
    usual: dict[str, Any] = {
        "dataset": "kpis",
        "date": date(2024, 3, day),
        "rows": RowCounts(raw=10, curated=9, quarantined=1, duplicates=0),
        "sources": (),
        "coverage": 0.9,
        "is_refused": False,
        "reasons": (),
        "results": (expectation(),),
        "quarantined_by_rule": {"latency_ms is between 0 and 1000": 1},
    }
    return PartitionFacts(**usual | changes)


def expectation(**changes: Any) -> ExpectationResult:
    """One line of a day's validation: a rule that one row broke."""
    usual: dict[str, Any] = {
        "expectation": "latency_ms is between 0 and 1000",
        "type": "expect_column_values_to_be_between",
        "column": "latency_ms",
        "severity": "critical",
        "outcome": "failed",
        "quarantined_rows": 1,
        "notes": "a latency is a time",
    }
    return ExpectationResult(**usual | changes)


def ingested(*partitions: PartitionFacts, missing: tuple[date, ...] = ()) -> Ingested:
    """An ingest of these days."""
    return Ingested(
        dataset="kpis",
        start=START,
        end=END,
        partitions=partitions,
        missing=missing,
        computed=len(partitions),
    )


def evaluation(mae: float) -> Evaluation:
    """What a regression was worth on its holdout."""
    return Evaluation(
        problem="regression",
        metrics={
            "mae": Interval(value=mae, low=mae - 1, high=mae + 1),
            "r2": Interval(value=1 - mae / 10),
        },
        rows=48,
        positives=None,
        clusters={"entity": 6, "day": 2},
        confidence=0.95,
    )


def made(
    step: str, key: str, facts: dict[str, Any], *outputs: str, is_reused: bool = False
) -> Made:
    """What a step handed on; each output's digest is its name and the key."""
    return Made(
        key=key,
        step=step,
        outputs={name: Reference(uri=f"{step}/{name}", digest=f"{name} {key}") for name in outputs},
        facts=facts,
        is_reused=is_reused,
    )


def fit(name: str, fold_score: float, mae: float = 2.0, is_reused: bool = False) -> Fit:
    """A fitted candidate; its fingerprint is "key of NAME"."""
    card = ModelCard(
        candidate=name,
        estimator="Ridge",
        params={},
        features=("load_ratio",),
        categories=(),
        problem="regression",
        threshold=None,
        train_end="2024-03-02T22:00:00+00:00",
        refit=False,
        fold_score=fold_score,
        model_sha256="model",
    )
    facts = {"card": card.model_dump(mode="json")}
    return Fit.of(
        made("fit_candidate", f"key of {name}", facts, "model", is_reused=is_reused),
        evaluation(mae),
    )


def audit(*findings: Finding) -> Audit:
    """A leakage audit that asked two questions and found this."""
    rules: tuple[Rule, ...] = ("single_feature", "future")
    found = {finding.rule for finding in findings}
    checks = [
        Check(rule=rule, outcome="found" if rule in found else "clear", detail="as measured")
        for rule in rules
    ]
    return Audit(
        rows=10, sampled=10, features=1, target="y", findings=findings, checks=tuple(checks)
    )


def oracle(column: str = "load_ratio") -> Finding:
    """A finding that refuses: a feature that tells the label."""
    return Finding(
        rule="single_feature",
        severity="refuse",
        columns=(column,),
        evidence={"r2": 1.0},
        sentence=f"{column} alone tells the label",
    )


def training(use_case: UseCase, *fits: Fit, table: str = "t", end: date = END) -> Training:
    """A training on a table whose features were known already."""
    part = Part(rows=5, entities=1, days=1, positives=None, first=MIDNIGHT, last=MIDNIGHT)
    summary = TableSummary(
        rows=12,
        labelled=10,
        unlabelled=1,
        too_recent=1,
        embargoed=0,
        positives=None,
        train=part,
        holdout=part,
        features=("load_ratio",),
        categories=(),
    )
    facts = {"summary": summary.model_dump(mode="json")}
    return Training(
        use_case=use_case,
        end=end,
        features=(made("build_features", "f", {}, "data", is_reused=True),),
        table=made("assemble_table", table, facts, "table"),
        audit=made("audit_table", "a", {"data": audit().model_dump(mode="json")}),
        fits=fits,
        baselines=made("score_baselines", "b", {}, "last_value"),
        baseline_entries=(Entry(name="last_value", kind="baseline", evaluation=evaluation(3.0)),),
    )


def decision(promote: bool) -> Decision:
    """A decision on ridge with one gate."""
    gate = GateResult(
        name="baseline last_value",
        passed=promote,
        observed=0.3,
        required=0.02,
        sentence="MAE 2 | 3 <b>",
    )
    return Decision(
        promote=promote,
        reasons=("MAE 2 | 3 <b>",),
        gates=(gate,),
        candidate="ridge",
        fingerprint="key of ridge",
        champion=None,
        comparisons={},
    )


def promotion(
    version: int,
    previous: int | None = None,
    sequence: int = 1,
    kind: Kind = "promotion",
    flow_run: str | None = None,
) -> Promotion:
    """An entry of the history that made a version champion."""
    return Promotion(
        sequence=sequence,
        kind=kind,
        champion=Champion(
            version=version,
            fingerprint=f"f{version}",
            model_sha256="m",
            candidate="ridge",
            training_key="t",
            train_end="2024-03-02T22:00:00+00:00",
        ),
        previous=previous,
        reasons=("it was better",),
        by="schedule",
        at=datetime(2024, 3, sequence, tzinfo=UTC),
        flow_run=flow_run,
    )


def history(*entries: tuple[int, Kind]) -> Pointer:
    """The pointer after these versions became champion, one after the other, each of its kind."""
    versions = [None, *(version for version, _ in entries)]
    return pointer(
        *(
            promotion(version, versions[index], index + 1, kind)
            for index, (version, kind) in enumerate(entries)
        )
    )


def pointer(*promotions: Promotion) -> Pointer:
    """The ledger's pointer with this history."""
    return Pointer(use_case="tiny", history=promotions)
