"""Each rule of the leakage audit: a table that breaks it, and one that does not."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast import features
from rancast.audit import audit, audit_table, view_of
from rancast.audit_findings import Audit, Bounds, Finding, audit_markdown, audit_rows
from rancast.audit_future import Sources, audited_days, check_future
from rancast.audit_material import AuditView, Material
from rancast.audit_splits import Pair, check_split
from rancast.calls import audit_call
from rancast.column_types import no_rows
from rancast.documents import canonical_json
from rancast.errors import ConfigurationError, EvidenceError, TableRefused
from rancast.features import build
from rancast.manifests import PartitionManifest
from rancast.references import Reference
from rancast.tables import assemble
from rancast.use_cases import UseCase
from rancast.windows import Delivered
from tests.rancast.cases import dataset, regression, rows, spec, use_case
from tests.rancast.outcomes import audit as audit_of
from tests.rancast.outcomes import oracle
from tests.rancast.outcomes import partition as facts_of

N = 400
RANDOM = np.random.default_rng(7)
NOISE = RANDOM.normal(size=(N, 3))
LABEL = (NOISE[:, 0] + RANDOM.normal(size=N) > 0).astype(int)
TIMES = pd.date_range("2024-03-01", periods=N, freq="h", tz="UTC")


def plain(**columns: Any) -> pd.DataFrame:
    """A table of noise with a label that some of it tells of, and these columns."""
    base = {"a": NOISE[:, 0], "b": NOISE[:, 1], "c": NOISE[:, 2], "y": LABEL}
    return pd.DataFrame(base | columns)


def found(result: Audit, rule: str) -> list[Finding]:
    """The findings of one rule; the rule was asked."""
    (check,) = [check for check in result.checks if check.rule == rule]
    assert check.outcome != "not_checked", check.detail
    return [finding for finding in result.findings if finding.rule == rule]


def the(result: Audit, rule: str) -> Finding:
    """The only finding of one rule."""
    (finding,) = found(result, rule)
    return finding


# --- rows and columns themselves ----------------------------------------------------------------


def test_a_table_without_dates_is_refused() -> None:
    """No date of observation, none of the label; with a time of observation there is no finding."""
    finding = the(audit_table(plain(), "y"), "dates")
    assert finding.severity == "refuse" and "no column is a date of observation" in finding.sentence
    assert found(audit_table(plain(at=TIMES), "y", time="at"), "dates") == []


def test_rows_that_are_there_twice_warn() -> None:
    """The number of copies, and none where each row is its own."""
    twice = pd.concat([plain(), plain().head(3)])
    finding = the(audit_table(twice, "y"), "duplicates")
    assert (finding.severity, finding.evidence["rows"]) == ("warn", 3)
    assert finding.sentence.startswith("3 of 403 rows repeat another in every column")
    assert found(audit_table(plain(), "y"), "duplicates") == []


def test_an_entity_and_time_that_are_there_twice_refuse() -> None:
    """Two rows of one cell and hour, whatever else is in them."""
    table = plain(at=TIMES, cell="x")
    assert found(audit_table(table, "y", "at", "cell"), "duplicates") == []
    table.loc[1, "at"] = table.loc[0, "at"]
    finding = the(audit_table(table, "y", "at", "cell"), "duplicates")
    assert (finding.severity, finding.columns) == ("refuse", ("entity", "time"))


def test_equal_rows_with_different_labels_warn() -> None:
    """Two sets of two rows each, told by number; with equal labels they are only duplicates."""
    copies = plain().head(2)
    torn = pd.concat([plain(), copies.assign(y=1 - copies["y"])])
    finding = the(audit_table(torn, "y"), "contradictions")
    assert (finding.evidence["vectors"], finding.evidence["rows"]) == (2, 4)
    assert found(audit_table(pd.concat([plain(), copies]), "y"), "contradictions") == []


def test_few_contradictions_are_chance_where_rows_have_times() -> None:
    """In a table with times, equal features at two times may well differ in what follows."""
    copies = plain().head(1)
    torn = pd.concat([plain(), copies.assign(y=1 - copies["y"])])
    timed = torn.assign(at=pd.date_range("2024-03-01", periods=len(torn), freq="h", tz="UTC"))
    assert found(audit_table(timed, "y", time="at"), "contradictions") == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (0.9 * NOISE[:, 0], "twin = 0.9 × a in every row"),
        (NOISE[:, 0], "twin = a in every row"),
        (-2 * NOISE[:, 0] + 5, "twin = -2 × a + 5 in every row"),
        (np.where(np.arange(N) % 5, 3 * NOISE[:, 0], np.nan), "twin = 3 × a in every row"),
    ],
)
def test_a_feature_that_is_another_one_in_disguise_warns(values: Any, sentence: str) -> None:
    """An exact linear function of another column, with its numbers."""
    finding = the(audit_table(plain(twin=values), "y"), "linear_features")
    assert finding.severity == "warn" and finding.columns == ("twin", "a")
    assert finding.sentence.startswith(sentence)


@pytest.mark.parametrize(
    "values",
    [
        0.9 * NOISE[:, 0] + 1e-4 * NOISE[:, 1],
        np.where(np.arange(N) == 7, 1.0, 0.9 * NOISE[:, 0]),
        np.full(N, 4.0),
        np.where(np.arange(N) < 5, NOISE[:, 0], np.nan),
    ],
)
def test_what_is_nearly_linear_constant_or_hardly_there_is_no_disguise(values: Any) -> None:
    """A correlation is no function, and neither are five common rows."""
    assert found(audit_table(plain(twin=values), "y"), "linear_features") == []


# --- oracles ------------------------------------------------------------------------------------


def test_a_feature_that_tells_the_label_alone_is_refused() -> None:
    """A flag that is set once the customer has left; noise is none."""
    closed = np.where(LABEL == 1, "closed", "open")
    finding = the(audit_table(plain(status=closed), "y"), "single_feature")
    assert (finding.severity, finding.columns) == ("refuse", ("status",))
    assert "average precision 1 and AUC 1" in finding.sentence
    assert "bound 0.98 and 0.98" in finding.sentence
    assert found(audit_table(plain(), "y"), "single_feature") == []


def test_a_feature_that_orders_a_quantity_alone_is_refused() -> None:
    """Any function that keeps the order gives the label away, heavy tails or not."""
    y = np.exp(3 * NOISE[:, 2])
    oracle = audit_table(plain(y=y, log=NOISE[:, 2] * 2).drop(columns="c"), "y")
    assert the(oracle, "single_feature").columns == ("log",)
    assert found(audit_table(plain(y=y + np.exp(3 * NOISE[:, 1])), "y"), "single_feature") == []


def test_where_the_last_value_forecasts_as_well_a_feature_is_no_oracle() -> None:
    """A label that hardly changes within the horizon is a reason to look further ahead."""
    slow = np.repeat([0.0, 1.0], N // 2)
    material = pd.DataFrame({"now": slow, "b": NOISE[:, 1]})
    from rancast.audit_oracles import check_single

    y = pd.Series(np.where(np.arange(N) == N // 2, 0.0, slow))
    checked = check_single(
        Material(material, y, "classification", baseline=pd.Series(slow)), Bounds(), 1
    )
    (finding,) = checked.findings
    assert finding.severity == "warn" and "look further ahead" in finding.sentence.lower()


def test_a_label_made_of_its_row_is_refused() -> None:
    """One rule over two columns: no single feature tells the label, the two together do."""
    table = pd.DataFrame(np.random.default_rng(2).normal(size=(3000, 3)), columns=list("abc"))
    result = audit_table(table.assign(y=(table["a"] > 0) & (table["b"] > 0)), "y")
    finding = the(result, "target_of_row")
    assert finding.severity == "refuse" and set(finding.columns) == {"a", "b"}
    assert found(result, "single_feature") == []
    assert found(audit_table(plain(), "y"), "target_of_row") == []


def test_a_sum_of_its_row_is_refused() -> None:
    """The total beside its parts: the columns that make it up are named, the others are not."""
    total = 2 * NOISE[:, 0] + NOISE[:, 1]
    finding = the(audit_table(plain(y=total), "y"), "target_of_row")
    assert finding.columns == ("a", "b") and "exact linear function" in finding.sentence
    noisy = total + 0.01 * RANDOM.normal(size=N)
    assert found(audit_table(plain(y=noisy), "y"), "target_of_row") == []


# --- splits -------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
SERIES = Material(
    X=pd.DataFrame({"a": NOISE[:, 0]}),
    y=pd.Series(LABEL.astype(float)),
    problem="classification",
    time=pd.Series(TIMES),
    entity=pd.Series("x", index=range(N), dtype="str"),
)
EARLY, LATE = np.arange(200), np.arange(200, N)


def split(train: Any, test: Any, embargo: timedelta = HOUR) -> tuple[Finding, ...]:
    """What the rule finds in one pair of train and test."""
    return check_split(SERIES, [Pair("fold 1 of 1", train, test)], embargo).findings


def test_folds_in_order_of_time_with_their_embargo_are_clear() -> None:
    """Train ends more than the embargo before the first test row."""
    assert split(EARLY[:-1], LATE) == ()


def test_an_embargo_that_is_not_kept_refuses() -> None:
    """Labels of the last train rows reach into the test: how many rows, and how far apart."""
    (finding,) = split(EARLY, LATE, 3 * HOUR)
    assert finding.severity == "refuse" and finding.evidence["train_rows"] == 3
    assert finding.sentence.startswith("fold 1 of 1 are only 1h apart: 3 of 200 train rows")


def test_folds_that_overlap_in_time_refuse() -> None:
    """Every other row in test: half of the train rows are later than the first test row."""
    (finding,) = split(np.arange(0, N, 2), np.arange(1, N, 2))
    assert finding.sentence.startswith("fold 1 of 1 overlap in time: 200 of 200 train rows")


def test_folds_that_share_a_row_refuse() -> None:
    """The same cell and hour in train and test."""
    shared, overlap = split(np.arange(0, 210), LATE)
    assert shared.columns == ("entity", "time") and shared.evidence["rows"] == 10
    assert overlap.columns == ("time",)


def seasons(count: int = 1200) -> pd.DataFrame:
    """A level that jumps every 60 hours: neighbours know it, yesterday does not."""
    random = np.random.default_rng(3)
    level = np.repeat(random.normal(size=count // 60), 60)
    clock = np.arange(count) + random.normal(size=count) / 10
    at = pd.date_range("2024-03-01", periods=count, freq="h", tz="UTC")
    return pd.DataFrame({"clock": clock, "noise": random.normal(size=count), "y": level, "at": at})


def test_a_score_that_collapses_in_time_is_found() -> None:
    """Random folds interpolate between neighbours; a split by time shows that nothing is known."""
    finding = the(audit_table(seasons(), "y", time="at"), "collapse")
    assert finding.evidence["random"] > 0.9 > 0.5 > finding.evidence["time"]
    assert "once the split follows time" in finding.sentence


def test_a_score_that_is_a_memory_of_entities_is_found() -> None:
    """Each customer has a number of their own and a label: other customers are unknown."""
    random = np.random.default_rng(5)
    who = np.repeat(np.arange(60), 10)
    table = pd.DataFrame(
        {
            "customer": [f"c{number}" for number in who],
            "size": random.normal(size=60)[who],
            "y": random.integers(0, 2, 60)[who],
        }
    )
    finding = the(audit_table(table, "y", entity="customer"), "collapse")
    assert "entity" in finding.evidence and "keeps entities apart" in finding.sentence


def test_an_honest_score_stays() -> None:
    """A feature that helps today helps tomorrow, and for other cells."""
    table = plain(at=TIMES, cell=[f"c{place % 7}" for place in range(N)])
    assert found(audit_table(table, "y", "at", "cell"), "collapse") == []


def test_entities_on_both_sides_are_counted() -> None:
    """A split by time judges entities that it knows: how many is told for holdout and folds."""
    entity = pd.Series(["a", "b"] * (N // 2), dtype="str").where(SERIES.y.index < 210, "new")
    table = SERIES._replace(entity=entity)
    pairs = [
        Pair("train and holdout", EARLY[:-1], LATE),
        Pair("fold 1 of 1", EARLY[:9], EARLY[11:]),
    ]
    checked = check_split(table, pairs, HOUR)
    assert checked.findings == ()
    assert checked.detail.endswith(
        "entities of the test that are in train, too, which a split by time allows: "
        "train and holdout 2 of 3, fold 1 of 1 2 of 2"
    )


def test_a_table_without_a_split_is_told_what_rows_would_share() -> None:
    """Of entities with several rows, a split by rows has some on both sides."""
    cell = ["x", "y", *map(str, range(2, N - 3)), "x", "x", "y"]
    result = audit_table(plain(at=TIMES, cell=cell), "y", "at", "cell")
    (said,) = (check.detail for check in result.checks if check.rule == "split")
    assert f"2 of {N - 3} entities have several rows, which a split by rows puts" in said


# --- the future ---------------------------------------------------------------------------------

KPI = dataset()
DAYS = [date(2024, 3, day) for day in range(1, 7)]


def history() -> list[pd.DataFrame]:
    """Six days of two cells every ten minutes, with noise in each column."""
    random = np.random.default_rng(11)
    frames = []
    for day in DAYS:
        times = pd.date_range(str(day), periods=144, freq="10min").strftime("%Y-%m-%d %H:%M")
        frames.append(
            rows(
                *(
                    (cell, at, random.uniform(0, 100), int(random.integers(0, 9)), True, band)
                    for at in times
                    for cell, band in (("a", "low"), ("b", "high"))
                )
            )
        )
    return frames


CASE = use_case(
    spec(
        features={
            "current": ["load", "users"],
            "categories": ["band"],
            "lags": [{"columns": ["load"], "periods": [1]}],
            "windows": [{"columns": ["load"], "over": ["1h"], "statistics": ["mean", "std"]}],
            "history": [{"columns": ["load"], "days": 1}],
            "missing": ["1h"],
        }
    )
)


def test_nothing_compared_is_not_checked() -> None:
    """Days without a row to make again are no proof: the rule is not checked, and says why."""
    with pytest.raises(EvidenceError, match="none of 2 days has a row of features"):
        check_future(Sources([no_rows(KPI)]), view_of(CASE), KPI, DAYS[3:5])
    result = audit(training_table(CASE), [no_rows(KPI)], view_of(CASE), KPI)
    assert {check.rule: check.outcome for check in result.checks}["future"] == "not_checked"
    assert "not checked: future" in result.verdict


def test_features_that_look_back_stay_when_the_future_is_noise() -> None:
    """Bit for bit, for every kind of feature."""
    checked = check_future(Sources(history()), view_of(CASE), KPI, DAYS[3:5])
    assert checked.findings == () and checked.detail.startswith("288 rows of 2 days")


def test_a_feature_that_looks_ahead_is_refused() -> None:
    """A mean over the whole day knows the evening at noon."""

    def leaky(*given: Any) -> pd.DataFrame:
        X = features.build(*given)
        return X.assign(daily_mean=X.groupby("cell")["load"].transform("mean"))

    checked = check_future(Sources(history()), view_of(CASE), KPI, DAYS[3:5], build=leaky)
    (finding,) = checked.findings
    assert (finding.severity, finding.columns) == ("refuse", ("daily_mean",))
    assert finding.evidence == {"rows": 288, "of": 288}


def test_a_feature_without_any_value_in_a_train_part_tells_nothing_there() -> None:
    """A column that is empty, of numbers or texts, or began late is audited like any other."""
    late = np.where(np.arange(N) < 300, np.nan, NOISE[:, 1])
    words = pd.Series([None] * N, dtype="str")
    table = plain(at=TIMES, cell=np.arange(N) % 9, empty=np.nan, late=late, words=words)
    result = audit_table(table, "y", "at", "cell")
    assert found(result, "collapse") == [] and not result.is_refused
    alone = audit_table(table[["empty", "y", "at"]], "y", "at")
    assert "the best one alone is empty" in alone.checks[4].detail


# --- whole audits -------------------------------------------------------------------------------


def training_table(case: UseCase) -> pd.DataFrame:
    """The training table of six days, by the product's own functions."""
    frames = history()
    view = case.feature_view()
    X = [build(frames, view, KPI, day) for day in DAYS]
    return assemble(X, frames, case.table_view(), KPI, date(2024, 3, 7)).table


def audited(case: UseCase, table: pd.DataFrame) -> Audit:
    """The audit of a training table of the six days."""
    return audit(table, history(), view_of(case), KPI)


def test_an_honest_training_table_is_clear() -> None:
    """Every rule is asked, and none finds anything."""
    result = audited(CASE, training_table(CASE))
    assert [(check.rule, check.outcome) for check in result.checks] == [
        ("dates", "clear"),
        ("duplicates", "clear"),
        ("contradictions", "clear"),
        ("linear_features", "clear"),
        ("single_feature", "clear"),
        ("target_of_row", "clear"),
        ("split", "clear"),
        ("future", "clear"),
        ("collapse", "clear"),
    ]
    assert not result.is_refused and result.verdict == "Nothing found by 9 rules."


@pytest.mark.parametrize("case", [CASE, use_case(regression())])
def test_a_label_in_the_features_of_a_training_table_is_refused(case: UseCase) -> None:
    """A column made of the label: refused, and named."""
    table = training_table(case)
    result = audited(case, table.assign(load=table["y"] * 2.0))
    assert result.is_refused and the(result, "single_feature").columns == ("load",)


def test_a_label_that_is_the_last_value_is_refused() -> None:
    """What was known at t is no forecast."""
    table = training_table(CASE)
    result = audited(CASE, table.assign(y=table["baseline_last_value"].astype("int64")))
    assert the(result, "target_of_row").sentence.startswith("the label is what was known at t")


def test_a_training_table_whose_split_leaks_is_refused() -> None:
    """Train rows after the holdout's first: by the columns of the table, whoever made it."""
    table = training_table(CASE)
    shuffled = np.random.default_rng(1).permutation(table["split"].to_numpy())
    result = audited(CASE, table.assign(split=shuffled))
    assert found(result, "split")[0].sentence.startswith("train and holdout overlap in time")


def test_equal_tables_give_equal_audits() -> None:
    """Bit for bit, so that an audit is a step like any other, and a document of JSON."""
    first, second = (audited(CASE, training_table(CASE)) for _ in range(2))
    assert canonical_json(first) == canonical_json(second)
    assert Audit.model_validate_json(first.model_dump_json()) == first


def test_the_view_survives_the_way_of_a_step() -> None:
    """As JSON and back, it is the same: the ledger keeps it so."""
    view = view_of(CASE)
    assert AuditView.model_validate(view.model_dump(mode="json")) == view


def test_too_little_to_audit_is_said() -> None:
    """A handful of rows, a single label, an unknown column, a label of three words."""
    with pytest.raises(EvidenceError, match="10 labelled rows with 2 different labels"):
        audit_table(plain().head(10).assign(y=[0, 1] * 5), "y")
    with pytest.raises(EvidenceError, match="all 399 rows with a label have the same in 'y'"):
        audit_table(plain(y=np.r_[np.nan, np.ones(399)]), "y")
    with pytest.raises(ConfigurationError, match="no column 'z'; known: a, b, c, y"):
        audit_table(plain(), "z")
    with pytest.raises(ConfigurationError, match="has 3 different values"):
        audit_table(plain(y=["u", "v", "w", "v"] * 100), "y")


@pytest.mark.parametrize(
    ("when", "name", "shown"),
    [
        (["last week"] * N, "when", "'last week'"),
        (np.arange(N) + 0.5, "when", "'0.5'"),
        (["0151-234-5678"] * N, "when", "not shown"),
        (["+49 (151) 234 56 78"] * N, "when", "not shown"),
        ([4915123456789.0] * N, "when", "not shown"),
        (["jo@example.org"] * N, "when", "not shown"),
        (["C-1"] * N, "Customer (new)", "not shown"),
        ([None] * N, "when", "no value"),
    ],
)
def test_a_column_of_no_times_is_no_time(when: Any, name: str, shown: str) -> None:
    """The error names the column and a cell, unless that may be a person's."""
    with pytest.raises(ConfigurationError) as raised:
        audit_table(plain(**{name: when}), "y", time=name)
    assert str(raised.value).startswith(f"TIME is {name!r}: no column of times; ")
    assert shown in str(raised.value) and ("5678" in str(raised.value)) is ("5678" in shown)


def test_a_table_without_features_is_said() -> None:
    """A label alone, or with its time and entity, leaves nothing to audit."""
    table = plain(at=TIMES, cell="x")[["y", "at", "cell"]]
    with pytest.raises(ConfigurationError, match="no feature to audit"):
        audit_table(table, "y", "at", "cell")


def test_a_training_table_too_small_for_models_is_asked_the_rest() -> None:
    """29 rows have no score: these rules are not checked, and the training is not ended by that."""
    table = training_table(CASE).head(29)
    result = audit(table, history(), view_of(CASE), KPI)
    outcomes = {check.rule: check.outcome for check in result.checks}
    for rule in ("contradictions", "single_feature", "target_of_row", "collapse"):
        assert outcomes[rule] == "not_checked"
    assert outcomes["dates"] == outcomes["duplicates"] == outcomes["future"] == "clear"


def test_a_clustering_is_asked_what_needs_no_label() -> None:
    """Rows, features, split and future; the other rules say that there is nothing to tell."""
    view = view_of(CASE).model_copy(update={"problem": "clustering"})
    result = audit(training_table(CASE).assign(y=0.0), history(), view, KPI)
    asked = {check.rule for check in result.checks if check.outcome == "clear"}
    assert asked == {"dates", "duplicates", "linear_features", "split", "future"}
    assert "a clustering has no labels" in result.checks[2].detail and not result.is_refused


def test_a_refusal_ends_a_training_unless_it_was_accepted() -> None:
    """The error names column, use case and key; accepted by its rule, and no other, it is none."""
    refused = audit_of(oracle("load"), oracle("users"))
    with pytest.raises(TableRefused, match="load alone tells.*users alone tells") as raised:
        refused.expect_acceptable("overload", {"future": "looked"})
    assert "use_cases/overload.yaml under audit.accept, by rule: single_feature." in str(
        raised.value
    )
    refused.expect_acceptable("overload", {"single_feature": "a slow KPI"})
    audit_of().expect_acceptable("overload", {})


def test_the_partitions_of_an_audit_are_those_of_its_days() -> None:
    """Two days of ten are made again, so that no more than they look back on is read."""
    case = use_case(spec(features={"current": ["load"], "history": [{"columns": ["load"]}]}))
    days = [date(2024, 3, day) for day in range(1, 31)]
    chosen = audited_days(days, view_of(case))
    assert len(chosen) == 2 and chosen == audited_days(days, view_of(case))
    assert chosen == tuple(sorted(chosen))
    table = Reference(uri="t", digest="t")
    delivered = {KPI.name: Delivered(dataset=KPI, partitions={day: partition(day) for day in days})}
    call = audit_call(case, delivered, days, table)
    wanted = {day - timedelta(days=back) for day in chosen for back in range(8)} & set(days)
    assert [one.digest for one in call["curated"]] == [str(day) for day in sorted(wanted)]
    assert (call["view"].days, call["table"]) == (chosen, table)


def partition(day: date) -> PartitionManifest:
    """A day of nine rows, whose content is its name."""
    return PartitionManifest(
        **facts_of(1).model_dump() | {"date": day},
        schema_version=1,
        step="validate_partition",
        key="k",
        files={"curated": Reference(uri=f"{day}.parquet", digest=str(day))},
        digest="d",
    )


def test_rows_of_a_table_show_every_rule() -> None:
    """One row per finding, and one per rule without; markup in names stays text."""
    result = audit_table(plain(**{"a|b": 2 * NOISE[:, 0]}), "y")
    shown = audit_rows(result)
    assert [row["outcome"] for row in shown] == [
        *("refused", "clear", "clear", "warned", "clear", "clear"),
        *("not checked", "not checked", "not checked"),
    ]
    assert "a\\|b, a" in audit_markdown(result)


@pytest.mark.real_data
def test_iranian_churn_is_flagged_for_what_shows(real_data: Path) -> None:
    """No dates, FN = 0.9 × Customer Value, 300 copies, 14 sets of equal rows with both labels."""
    path = real_data / "iranian_churn" / "Customer Churn.csv"
    result = audit_table(pd.read_csv(path, encoding="utf-8-sig"), "Churn")
    assert [(finding.rule, finding.severity) for finding in result.findings] == [
        ("dates", "refuse"),
        ("duplicates", "warn"),
        ("contradictions", "warn"),
        ("linear_features", "warn"),
    ]
    assert the(result, "duplicates").evidence["rows"] == 300
    assert the(result, "contradictions").evidence == {"vectors": 14, "rows": 64, "share": 64 / 3150}
    assert the(result, "linear_features").sentence.startswith("FN = 0.9 × Customer Value in every")
    # Status is better on the first fold, Complains over all of them
    (alone,) = [check.detail for check in result.checks if check.rule == "single_feature"]
    assert "Complains, with average precision 0.4404 and AUC 0.684" in alone
