"""Which hyperparameters: seeded trials on folds that follow time, on a bounded sample of rows.

Every trial is fitted and scored on the same sample and folds, so that only parameters differ. How
one pipeline is built and fitted is in `estimators`, how time is cut into folds in `splits`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from rancast import selection
from rancast.documents import canonical_json
from rancast.errors import EvidenceError
from rancast.estimators import build_pipeline, fit_pipeline, has_converged
from rancast.fit_view import Candidate, FitView
from rancast.importance import permutation
from rancast.metrics import FloatArray, find_metric
from rancast.models import predict_prepared
from rancast.problems import Problem
from rancast.selection import Kept
from rancast.silhouettes import Space, silhouettes
from rancast.splits import folds
from rancast.stability import Stability, stability

Positions = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """Labelled rows in time order: X as `models.inputs` prepares it, y and time, each (rows,).

    `entity` is who they are about; only clusterings ask.
    """

    X: pd.DataFrame
    y: pd.Series
    time: pd.Series
    entity: pd.Series | None = None

    def at(self, positions: Positions) -> "Rows":
        """Return the rows at these positions."""
        entity = None if self.entity is None else self.entity.iloc[positions]
        y, time = self.y.iloc[positions], self.time.iloc[positions]
        return Rows(self.X.iloc[positions], y, time, entity)


class Fold(NamedTuple):
    """Positions of one fold's rows: the sampled ones to fit and to score on, and all of them."""

    train: Positions
    test: Positions
    all_train: Positions
    all_test: Positions


class SearchResult(NamedTuple):
    """The chosen parameters, one row per trial with its scores, and the features that were kept.

    `kept` has an item for each fold, and last that for all training rows; None is every feature.
    """

    params: dict[str, Any]
    trials: pd.DataFrame
    kept: tuple[Kept, ...]


def search(candidate: Candidate, rows: Rows, view: FitView) -> SearchResult:
    """Try the candidate's parameters on time-ordered folds and choose those of the best mean score.

    At most `view.search.rows` rows are used: a seeded sample without replacement, in time order. A
    tie keeps the earlier trial. Of clusterings all are tied that folds cannot tell from the best,
    and the most stable one is taken. Raises EvidenceError where no fold holds enough to fit and
    score.
    """
    from joblib import Parallel, delayed

    cut = usable_folds(rows, view)
    drawn = list(_draw(candidate, view))
    kept = kept_by_fold(candidate, rows, cut, view)
    # threads over trials, not within a fit: see `estimators.ROWS_PER_THREAD`
    results = Parallel(n_jobs=-1, backend="threading")(
        delayed(_score)(candidate, params, rows, fold, view, columns)
        for params in drawn
        for fold, columns in zip(cut, kept, strict=False)
    )
    scores = np.array([score for score, _ in results]).reshape(len(drawn), len(cut))
    converged = [known for _, known in results]
    sign = 1 if find_metric(view.metric, view.problem).greater_is_better else -1
    best = int((sign * scores.mean(axis=1)).argmax())
    stable = None
    if view.problem == "clustering":
        stable = _stability_of_tied(candidate, drawn, scores, rows, cut[-1], view)
        best = min(stable, key=lambda trial: (-round(stable[trial], 2), clusters_of(drawn[trial])))
    trials = pd.DataFrame(
        {
            "trial": range(len(drawn)),
            "params": [canonical_json(params).decode() for params in drawn],
            "metric": view.metric,
            "score_mean": scores.mean(axis=1),
            "score_std": scores.std(axis=1),
            "fold_scores": [canonical_json(line.tolist()).decode() for line in scores],
            "has_converged": _all_of(converged, len(cut)),
            "is_chosen": np.arange(len(drawn)) == best,
        }
    )
    if stable is not None:
        trials["stability"] = pd.Series(stable)
    return SearchResult(drawn[best], trials, kept)


def kept_by_fold(
    candidate: Candidate, rows: Rows, cut: list[Fold], view: FitView
) -> tuple[Kept, ...]:
    """Return the columns that `permutation` keeps for each fold, and last for all rows.

    What a fold keeps was measured on the folds before it, on rows that end before its embargo, so
    that its score has not seen its own test; the first has none before it and keeps everything.
    """
    from joblib import Parallel, delayed

    select = selection.of(candidate, view)
    if select is None or select.method != "permutation":
        return (None,) * (len(cut) + 1)
    pasts = [fold.all_train for fold in cut[1:]]
    tests = [np.intersect1d(fold.test, past) for fold, past in zip(cut, pasts, strict=False)]
    measured = Parallel(n_jobs=-1, backend="threading")(
        delayed(_importance)(candidate, rows, fold.train, test, view)
        for fold, test in zip(cut, [*tests, cut[-1].test], strict=True)
    )
    known = [measured[:number] for number in range(len(cut) + 1)]
    return tuple(selection.most_important(folds, select.keep) for folds in known)


def _importance(
    candidate: Candidate, rows: Rows, train: Positions, test: Positions, view: FitView
) -> pd.DataFrame:
    """Return what each feature is worth on one fold, to the candidate's parameters as stated."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "openmp"):
        model = fit_rows(candidate, {}, rows.at(train), view)
        return permutation(model, rows.X.iloc[test], rows.y.iloc[test], view)


def out_of_folds(
    candidate: Candidate, found: SearchResult, rows: Rows, view: FitView
) -> pd.DataFrame:
    """Predict each fold's rows by a model fitted on all rows before them.

    Returns [fold, time, y, prediction] on the index of `rows`, by the chosen parameters. More days
    are worth more than models like the final one: the last fold alone is a few days, perhaps
    without a weekend. Its residuals gave intervals that held up to 3 % less than promised where
    those of all folds held, its probabilities a threshold that gave half more alerts than
    allowed. The price: a strong penalty makes models of the first folds, of few rows, less sure
    than the final one, which is why `alerts.threshold` looks at the last fold, too. Models of
    the search would not do at all: fitted on fewer rows still, they let the final model give up
    to three times the alerts that were allowed.
    """
    cut = usable_folds(rows, view)
    parts = [
        _predict_fold(candidate, found.params, rows, fold, view, kept).assign(fold=number)
        for number, (fold, kept) in enumerate(zip(cut, found.kept, strict=False))
    ]
    return pd.concat(parts)


def _predict_fold(
    candidate: Candidate,
    params: dict[str, Any],
    rows: Rows,
    fold: Fold,
    view: FitView,
    kept: Kept,
) -> pd.DataFrame:
    model = fit_rows(candidate, params, rows.at(fold.all_train), view, kept)
    test = rows.at(fold.all_test)
    prediction = predict_prepared(model, test.X, view.problem)
    return pd.DataFrame({"time": test.time, "y": test.y, "prediction": prediction})


def usable_folds(rows: Rows, view: FitView) -> list[Fold]:
    """Cut the rows by time and keep the folds in which the metric can be computed.

    Raises EvidenceError where there is none, with the numbers.
    """
    random = np.random.default_rng(view.seed)
    size = min(len(rows.y), view.search.rows)
    sample = np.sort(random.choice(len(rows.y), size=size, replace=False))
    cut = [
        Fold(np.intersect1d(train, sample), np.intersect1d(test, sample), train, test)
        for train, test in folds(rows.time, view.folds, view.embargo)
    ]
    minimum = 2 if view.problem == "classification" or view.metric == "r2" else 1
    usable = [
        fold
        for fold in cut
        if len(fold.train) > 1
        and rows.y.iloc[fold.train].nunique() >= (2 if view.problem == "classification" else 1)
        and rows.y.iloc[fold.test].nunique() >= minimum
    ]
    if not usable:
        raise EvidenceError(
            f"none of {view.folds} folds over {len(rows.y):,} training rows ({size:,} sampled"
            f"{_count_positives(rows, view.problem)}) can be fitted and scored by {view.metric}; "
            "take a longer history, fewer folds or more search rows."
        )
    return usable


def _count_positives(rows: Rows, problem: Problem) -> str:
    return f", {int(rows.y.sum()):,} positive" if problem == "classification" else ""


def _draw(candidate: Candidate, view: FitView) -> Iterator[dict[str, Any]]:
    """Draw distinct sets of parameters from the lists of the candidate, seeded."""
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    if not candidate.search:
        yield {}
        return
    number = min(view.search.iterations, len(ParameterGrid(candidate.search)))
    yield from ParameterSampler(candidate.search, number, random_state=view.seed)


def fit_rows(
    candidate: Candidate,
    params: dict[str, Any],
    rows: Rows,
    view: FitView,
    kept: Kept = None,
) -> Any:
    """Fit the candidate with `params` over its own on these rows; return the pipeline.

    It uses the columns `kept` alone; without them it selects on these rows, where the use case
    says so.
    """
    X = rows.X if kept is None else rows.X[list(kept)]
    pipeline = build_pipeline(candidate, params, X, view.problem, view.seed)
    if kept is None:
        pipeline = selection.with_selection(pipeline, selection.of(candidate, view))
    return fit_pipeline(candidate, pipeline, rows.X, rows.y)


def _score(
    candidate: Candidate,
    params: dict[str, Any],
    rows: Rows,
    fold: Fold,
    view: FitView,
    kept: Kept,
) -> tuple[float, bool | None]:
    """Fit and score one fold; return the score and whether the fit converged."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "openmp"):  # holds for this thread only
        model = fit_rows(candidate, params, rows.at(fold.train), view, kept)
        test = rows.at(fold.test)
        prediction = predict_prepared(model, test.X, view.problem)
    if view.problem == "clustering":
        space = Space.of(rows.at(fold.train).X)
        prediction = silhouettes(space, test.X, test.time, prediction)
    metric = find_metric(view.metric, view.problem)
    return metric(test.y.to_numpy(dtype=np.float64), prediction), has_converged(model)


def _stability_of_tied(
    candidate: Candidate,
    drawn: list[dict[str, Any]],
    scores: npt.NDArray[np.float64],
    rows: Rows,
    fold: Fold,
    view: FitView,
) -> dict[int, float]:
    """Return the stability of each trial that is as good as the best, by its number.

    That is within one standard error of the best mean over the folds, by which one cannot be told
    to be better (the rule of Breiman et al. 1984, Classification and Regression Trees). Halves of
    the entities are fitted on the last fold's past, and compared on its rows.
    """
    means = scores.mean(axis=1)
    best, folds_each = int(means.argmax()), scores.shape[1]
    error = float(scores[best].std(ddof=1)) / np.sqrt(folds_each) if folds_each > 1 else 0.0
    tied = np.flatnonzero(means >= means[best] - error)
    train, test = rows.at(fold.train), rows.at(fold.test)
    found = {}
    for trial in tied:
        model = fit_rows(candidate, drawn[trial], train, view)
        labels = predict_prepared(model, test.X, view.problem)
        agreed = stability_of(candidate, drawn[trial], train, test, labels, view)
        found[int(trial)] = float(agreed.by_row.mean())
    return found


def stability_of(
    candidate: Candidate,
    params: dict[str, Any],
    train: Rows,
    test: Rows,
    labels: FloatArray,
    view: FitView,
) -> Stability:
    """Return how far models of halves of the entities in `train` agree on `test`.

    `labels` are those of the candidate itself on `test`.
    """

    def refit(rows: Positions) -> FloatArray:
        model = fit_rows(candidate, params, train.at(rows), view)
        return predict_prepared(model, test.X, view.problem)

    if train.entity is None:
        raise ValueError("rows without their entities cannot be halved by them")
    return stability(refit, train.entity, test.time, labels, view.search.rows, view.seed)


def clusters_of(params: Mapping[str, Any]) -> int:
    """Return how many clusters an estimator's parameters ask for, 0 where they do not say."""
    return int(params.get("n_clusters", params.get("n_components", 0)))


def _all_of(converged: list[bool | None], folds_each: int) -> "pd.api.extensions.ExtensionArray":
    """Tell for each trial whether all its folds converged; missing where that has no meaning."""
    trials = [converged[i : i + folds_each] for i in range(0, len(converged), folds_each)]
    known = [None if None in trial else all(trial) for trial in trials]
    return pd.array(known, dtype="boolean")
