"""Every step by name: which function it is, and where in the lake its outputs go."""

from rancast import audit, candidates, features, judging, tables, training_report
from tasks import validation
from tasks.steps import Step, as_task

validate_partition = as_task(
    Step(
        "validate_partition",
        validation.validate_partition,
        {
            "curated": "curated/{dataset.name}/date={day}/{sha256}.parquet",
            "quarantined": "quarantine/{dataset.name}/date={day}/{sha256}.parquet",
            "page": "reports/validation/{dataset.name}/date={day}/{sha256}.html",
        },
        manifest="curated/{dataset.name}/date={day}",
    ),
    "validate {dataset.name} {day}",
)

build_features = as_task(
    Step(
        "build_features",
        features.build,
        {"data": "features/{place}/date={day}/{sha256}.parquet"},
        manifest="features/{place}/date={day}",
    ),
    "features {place} {day}",
)

assemble_table = as_task(
    Step(
        "assemble_table",
        tables.assemble,
        {"table": "tables/{place}/end={end}/{sha256}.parquet"},
    ),
    "table {place} to {end}",
)

# all that it says is a fact: the same table is not audited again for another gate or candidate
audit_table = as_task(Step("audit_table", audit.audit, {}), "audit {place}")

fit_candidate = as_task(
    Step(
        "fit_candidate",
        candidates.fit,
        {
            "model": "models/{place}/{sha256}.skops",
            "predictions": "predictions/{place}/holdout/{sha256}.parquet",
            "golden": "models/{place}/{sha256}.golden.parquet",
            "trials": "models/{place}/{sha256}.trials.parquet",
            "importance": "models/{place}/{sha256}.importance.parquet",
            "dependence": "models/{place}/{sha256}.dependence.parquet",
        },
        volatile=("model", "card"),
    ),
    "fit {candidate.name} of {place}",
)

BASELINE = "predictions/{place}/holdout/{sha256}.parquet"

score_baselines = as_task(
    Step(
        "score_baselines",
        judging.score_baselines,
        dict.fromkeys(judging.BaselinePredictions._fields, BASELINE),
    ),
    "baselines of {place}",
)

score_champion = as_task(
    Step("score_champion", judging.score_champion, {"predictions": BASELINE}),
    "score champion of {place}",
)

evaluate_predictions = as_task(
    Step("evaluate_predictions", judging.evaluate_predictions, {}), "evaluate {place}"
)

judge = as_task(Step("judge", judging.judge, {}), "judge {place}")

report_training = as_task(
    Step(
        "report_training",
        training_report.build,
        {"data": "reports/training/{place}/{sha256}.html"},
    ),
    "report on {place}",
)
