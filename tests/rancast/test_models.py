"""Models at rest: what loads, what is refused, and that predictions survive the way."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import ensemble, linear_model
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skops import io

from rancast.documents import sha256
from rancast.errors import DataError, ModelRefused
from rancast.estimators import build_pipeline
from rancast.fit_view import Candidate
from rancast.frames import to_parquet
from rancast.models import ModelCard, check_golden, dump, inputs, load, main, predict, verify
from rancast.problems import Problem

FEATURES = ("latency_ms", "loss", "technology")
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "LogisticRegression": {},
    "SGDClassifier": {"loss": "log_loss"},
    "RandomForestClassifier": {"n_estimators": 3},
    "ExtraTreesClassifier": {"n_estimators": 3},
    "GradientBoostingClassifier": {"n_estimators": 3},
    "HistGradientBoostingClassifier": {"max_iter": 3},
    "AdaBoostClassifier": {"n_estimators": 3},
    "DecisionTreeClassifier": {},
    "KNeighborsClassifier": {},
    "GaussianNB": {},
    "MLPClassifier": {"max_iter": 3, "hidden_layer_sizes": [3]},
    "DummyClassifier": {"strategy": "prior"},
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "LinearRegression": {},
    "Ridge": {},
    "Lasso": {},
    "ElasticNet": {},
    "SGDRegressor": {},
    "HuberRegressor": {},
    "QuantileRegressor": {},
    "PoissonRegressor": {},
    "TweedieRegressor": {},
    "RandomForestRegressor": {"n_estimators": 3},
    "ExtraTreesRegressor": {"n_estimators": 3},
    "GradientBoostingRegressor": {"n_estimators": 3, "loss": "huber"},
    "HistGradientBoostingRegressor": {"max_iter": 3, "loss": "absolute_error"},
    "DummyRegressor": {"strategy": "median"},
}


def rows(number: int = 60) -> pd.DataFrame:
    """Return X with a missing number and a missing category."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "latency_ms": random.gamma(5, 10, number),
            "loss": random.random(number),
            "technology": pd.Series(random.choice(["4G", "5G", "LTE"], number), dtype="str"),
        }
    )
    frame.loc[1, "latency_ms"] = np.nan
    frame.loc[2, "technology"] = None
    return frame


def card_for(model: bytes, problem: Problem, estimator: str = "Ridge") -> ModelCard:
    """Return the card of a model on these features."""
    return ModelCard(
        candidate="some",
        estimator=estimator,
        params={},
        features=FEATURES,
        categories=("technology",),
        problem=problem,
        threshold=None,
        train_end="2024-03-01T00:00:00+00:00",
        refit=False,
        model_sha256=sha256(model),
    )


def fitted(name: str, params: dict[str, Any], problem: Problem) -> Any:
    """Return a small fitted pipeline."""
    candidate = Candidate(name="some", estimator=name, params=params, impute=True, scale=True)
    X = inputs(rows(), FEATURES, ("technology",))
    y = (rows()["loss"] > 0.6).astype(int) if problem == "classification" else rows()["loss"]
    return build_pipeline(candidate, {}, X, problem, seed=1).fit(X, y)


RIDGE = fitted("Ridge", {}, "regression")
RIDGE_BYTES = dump(RIDGE)
CARD = card_for(RIDGE_BYTES, "regression")
GOLDEN = rows(6).assign(prediction=predict(RIDGE, rows(6), CARD))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("name", "problem"),
    [(name, "classification") for name in CLASSIFIERS]
    + [(name, "regression") for name in REGRESSORS],
)
def test_families_round_trip(name: str, problem: Problem) -> None:
    """Every family that we ship loads by our type list and predicts what it predicted."""
    params = (CLASSIFIERS | REGRESSORS)[name]
    model = fitted(name, params, problem)
    data = dump(model)
    card = card_for(data, problem, name)
    loaded = load(data, card.model_sha256)
    np.testing.assert_array_equal(predict(loaded, rows(), card), predict(model, rows(), card))


def test_a_flipped_byte_is_refused() -> None:
    """One other byte is another SHA-256, and nothing of it is read."""
    damaged = bytearray(RIDGE_BYTES)
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(ModelRefused, match="changed or damaged"):
        load(bytes(damaged), CARD.model_sha256)


def test_os_system_is_refused_by_name() -> None:
    """A model that would call os.system is refused, even under its own SHA-256."""
    evil = io.dumps(Pipeline([("evil", FunctionTransformer(func=os.system))]))
    with pytest.raises(ModelRefused, match=r"types that nobody reviewed: .*system"):
        load(evil, sha256(evil))


def test_a_model_that_would_be_refused_is_not_dumped() -> None:
    """The type list is applied before anything is published."""
    with pytest.raises(ModelRefused, match="nobody reviewed"):
        dump(Pipeline([("evil", FunctionTransformer(func=os.system))]))


@pytest.mark.parametrize(
    "data",
    [b"", b"not a zip", RIDGE_BYTES[:200], b"\x80\x04K\x01."],
    ids=["empty", "no zip", "cut short", "pickle"],
)
def test_other_files_are_refused(data: bytes) -> None:
    """Empty, cut and foreign files (a pickle among them) are refused as not skops."""
    with pytest.raises(ModelRefused, match="not readable as skops"):
        load(data, sha256(data))


def test_bare_estimators_are_refused() -> None:
    """A skops file that holds no pipeline is none of ours."""
    data = io.dumps({"a": 1})
    with pytest.raises(ModelRefused, match="holds a dict, not a Pipeline"):
        load(data, sha256(data))


def test_unknown_categories_and_column_order_do_not_matter() -> None:
    """A technology never seen and shuffled or additional columns are predicted all the same."""
    X = rows(4).assign(technology=["6G", "4G", "5G", "LTE"], more=1.0)
    expected = predict(RIDGE, X, CARD)
    np.testing.assert_array_equal(predict(RIDGE, X[X.columns[::-1]], CARD), expected)
    assert np.isfinite(expected).all()


def test_no_rows_predict_nothing() -> None:
    """An empty X gives an empty array."""
    assert predict(RIDGE, rows(4).iloc[:0], CARD).shape == (0,)


def test_missing_columns_and_infinite_values_are_named() -> None:
    """X that does not fit the card is an error that names the columns."""
    with pytest.raises(DataError, match="needs the columns loss, which"):
        predict(RIDGE, rows(4).drop(columns="loss"), CARD)
    with pytest.raises(DataError, match="features loss hold infinite"):
        predict(RIDGE, rows(4).assign(loss=[0, 1, np.inf, 2]), CARD)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("known", [1.0, np.nan], ids=["alone", "beside missing ones it knows"])
def test_values_that_a_model_does_not_take_are_an_error_about_the_data(known: float) -> None:
    """Forests compute in 32 bits: a larger number is refused with scikit-learn's own reason."""
    X = pd.DataFrame({"load": [known, *range(9)]}, dtype="float64")
    forest = ensemble.RandomForestRegressor(3, random_state=1)
    model = Pipeline([("estimator", forest)]).fit(X, range(10))
    card = CARD.model_copy(update={"features": ("load",), "categories": ()})
    with pytest.raises(
        DataError, match=r"\(RandomForestRegressor\) could not predict 2 rows: .* too large for"
    ):
        predict(model, pd.DataFrame({"load": [known, 1e300]}), card)


def test_golden_rows_are_reproduced() -> None:
    """The model that made the golden rows passes, however often it is stored and loaded."""
    verify(RIDGE_BYTES, GOLDEN, CARD)


@pytest.mark.parametrize("change", [1e-6, np.nan, np.inf])
def test_golden_difference_is_refused_with_its_row(change: float) -> None:
    """A golden prediction that differs in the sixth digit, or is none, names the row."""
    golden = GOLDEN.copy()
    golden.loc[3, "prediction"] = golden.loc[3, "prediction"] * (1 + change)
    with pytest.raises(ModelRefused, match="on golden row 3"):
        check_golden(RIDGE, golden, CARD)


def test_no_golden_rows_prove_nothing() -> None:
    """A model without golden rows is not taken for a checked one."""
    with pytest.raises(ModelRefused, match="no golden rows"):
        check_golden(RIDGE, GOLDEN.iloc[:0], CARD)


def write(folder: Path, card: ModelCard) -> list[str]:
    """Write the three files and return their names."""
    (folder / "model.skops").write_bytes(RIDGE_BYTES)
    (folder / "golden.parquet").write_bytes(to_parquet(GOLDEN))
    (folder / "card.json").write_text(card.model_dump_json())
    return [str(folder / name) for name in ("model.skops", "golden.parquet", "card.json")]


def test_clean_process_says_ok(tmp_path: Path) -> None:
    """`python -m rancast.models` verifies three files without anything of this process."""
    done = subprocess.run(
        [sys.executable, "-m", "rancast.models", *write(tmp_path, CARD)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("OK\n", 0), done.stderr


def test_refusal_is_one_sentence_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A card with another SHA-256, a missing file or a broken card end with 1 and a reason."""
    files = write(tmp_path, CARD.model_copy(update={"model_sha256": "0" * 64}))
    assert main(files) == 1
    assert "changed or damaged" in capsys.readouterr().err
    (tmp_path / "card.json").write_text(json.dumps({"candidate": "x"}))
    assert main(files) == 1
    assert main([*files[:2], str(tmp_path / "absent.json")]) == 1
    assert "absent.json" in capsys.readouterr().err
    assert main([]) == 2


def test_type_list_is_complete_for_dummies() -> None:
    """The list holds for estimators fitted without our pipeline builder, too."""
    for model in (
        DummyClassifier(),
        DummyRegressor(),
        linear_model.Ridge(),
        ensemble.IsolationForest(),
    ):
        data = dump(Pipeline([("estimator", model.fit([[0.0], [1.0]], [0, 1]))]))
        load(data, sha256(data))
