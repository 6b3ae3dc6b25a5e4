"""What to predict: the schema of `use_cases/NAME.yaml`, one model as a file."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from rancast.audit_rules import Rule
from rancast.column_names import PREDICTED, RESERVED
from rancast.datasets import Dataset, Name, with_value
from rancast.documents import Document, find_yaml, read_yaml
from rancast.durations import WholeDays
from rancast.errors import ConfigurationError
from rancast.feature_set import Features
from rancast.feature_view import FeatureView, Grid
from rancast.field_types import WITHOUT_REPEATS, Condition, LocalTime, Zone
from rancast.fit_view import Alerts, Calibration, Candidate, FitView, Search
from rancast.gates import Gates, Intervals
from rancast.problems import METRICS, METRICS_AT_THRESHOLD, METRICS_OF_INTERVALS, Problem
from rancast.table_view import Split, TableView, Target


class Report(Document):
    """What the evaluation and the report of each training show beyond what gates ask for."""

    slices: Annotated[tuple[str, ...], WITHOUT_REPEATS] = Field(
        default=(), description="features, or the entity: groups of the holdout shown apart"
    )
    minimum_support: Annotated[int, Field(ge=1)] = Field(
        default=200, description="groups with fewer rows have no number"
    )
    levels: dict[Name, str] = Field(
        default={},
        description="groups of entities, such as site: a regular expression over the entity's "
        "name, whose group 'value' is the group's",
    )

    @field_validator("levels")
    @classmethod
    def _have_value(cls, levels: dict[str, str]) -> dict[str, str]:
        for name, pattern in levels.items():
            with_value(pattern, f"the pattern of {name!r}")
        return levels


class Deadline(Document):
    """By when the night's decision has to be there: a time of the day in a time zone."""

    at: LocalTime = Field(description="such as 05:00, on the day after the newest one trained on")
    timezone: Zone = "UTC"

    def on(self, day: date) -> datetime:
        """Return the moment of the deadline on a day, in UTC."""
        return datetime.combine(day, self.at, ZoneInfo(self.timezone)).astimezone(UTC)


class LeakageAudit(Document):
    """What people know better than the leakage audit, by rule, and why."""

    accept: dict[Rule, Annotated[str, Field(min_length=1, max_length=300)]] = Field(
        default={}, description="rule -> why what it says of this table is accepted"
    )


class UseCase(Document):
    """One model of the mission; see docs/onboarding.md for each key."""

    name: Name
    description: str = ""
    problem: Problem
    dataset: Name
    entity: str
    where: Condition | None = Field(
        default=None, description="an expression; other rows are left out"
    )
    history: WholeDays
    minimum_coverage: float = Field(
        default=0.5, ge=0, le=1, description="share of history's days that must be usable"
    )
    grid: Grid = Grid()
    target: Target | None = Field(
        default=None, description="what is predicted; a clustering has none, all others need one"
    )
    features: Features
    split: Split
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    search: Search = Search()
    metric: str
    alerts: Alerts | None = None
    intervals: Intervals | None = None
    gates: Gates = Gates()
    report: Report = Report()
    audit: LeakageAudit = LeakageAudit()
    refit_on_holdout: bool = False
    promotion: Literal["automatic", "manual"] = "automatic"
    deadline: Deadline | None = None
    seed: int = 20240301

    @property
    def foretold(self) -> str:
        """The column whose mean or sum is predicted; empty where it is a breach or a cluster."""
        return (self.target.mean or self.target.sum or "") if self.target else ""

    @model_validator(mode="after")
    def _is_consistent(self) -> "UseCase":
        if self.split.holdout >= self.history:
            raise ValueError(
                "split.holdout must be shorter than history, or nothing is left to train on"
            )
        if self.alerts is not None and self.problem != "classification":
            raise ValueError("alerts need problem: classification")
        if self.intervals is not None and self.problem != "regression":
            raise ValueError(
                "intervals need problem: regression; a probability has no interval, but a "
                "calibration, which its plot shows"
            )
        return self

    @model_validator(mode="after")
    def _target_fits(self) -> "UseCase":
        target = self.target
        if target is None:
            if self.problem != "clustering":
                raise ValueError(f"a {self.problem} needs a target; state what is predicted")
            return self
        if self.problem == "clustering":
            raise ValueError("a clustering foretells nothing; take target out")
        if self.split.embargo < target.reach:
            ahead = "target.delay + target.within" if target.delay else "target.within"
            raise ValueError(
                f"split.embargo ({self.split.embargo}) is shorter than {ahead} ({target.reach}): "
                "labels of the training rows would reach into the holdout"
            )
        if target.carry and self.grid.fill >= target.reach:
            raise ValueError(
                f"with target.carry, grid.fill ({self.grid.fill}) must be shorter than "
                f"target.within, with target.delay if there is one ({target.reach}), or a "
                "target could be computed from its own row"
            )
        if (self.problem == "classification") != (target.any is not None):
            raise ValueError("classification goes with target.any, regression with mean or sum")
        return self

    @model_validator(mode="after")
    def _clusters_are_gated(self) -> "UseCase":
        if self.problem != "clustering":
            return self
        if self.metric == "stability":
            raise ValueError("candidates are compared by silhouette; stability is a floor of gates")
        if "stability" not in self.gates.floors:
            raise ValueError(
                "gates.floors needs stability, such as 0.6: clusters that other cells would not "
                "have made again are none"
            )
        if self.features.select is not None:
            raise ValueError("features.select asks what foretells y; a clustering has none")
        if self.refit_on_holdout:
            raise ValueError(
                "refit_on_holdout gives clusters that were not evaluated; a clustering has none"
            )
        return self

    @model_validator(mode="after")
    def _levels_have_names_of_their_own(self) -> "UseCase":
        for name in self.report.levels:
            if name in (*self.features.names(), self.entity, *RESERVED, *PREDICTED):
                raise ValueError(f"report.levels names {name!r}, which is a column already")
        return self

    @model_validator(mode="after")
    def _candidates_have_names_of_their_own(self) -> "UseCase":
        names = [candidate.name for candidate in self.candidates]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two candidates are called {name!r}")
        return self

    @model_validator(mode="after")
    def _metrics_are_known(self) -> "UseCase":
        known = METRICS[self.problem]
        if self.metric not in known:
            raise ValueError(
                f"metric {self.metric!r} is not one for {self.problem}; known: {', '.join(known)}"
            )
        known += METRICS_AT_THRESHOLD if self.alerts else ()
        known += METRICS_OF_INTERVALS if self.intervals else ()
        for metric in self.gates.floors:
            if metric not in known:
                raise ValueError(
                    f"gates.floors names {metric!r}, which is not a metric here; "
                    f"known: {', '.join(known)}"
                )
        return self

    @model_validator(mode="after")
    def _slices_are_columns(self) -> "UseCase":
        asked = [("gates.slices", item.column) for item in self.gates.slices]
        asked += [("report.slices", column) for column in self.report.slices]
        if self.intervals is not None and self.intervals.by is not None:
            asked.append(("intervals.by", self.intervals.by))
        for key, column in asked:
            if column not in (*self.features.names(), self.entity):
                raise ValueError(
                    f"{key} names {column!r}, which is neither a feature nor the entity; add it "
                    "to features.categories"
                )
            if column in PREDICTED:
                raise ValueError(
                    f"{key} names {column!r}, as predictions call one of their own columns; "
                    "rename the dataset's column"
                )
        return self

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the datasets that it is made from, the one that it is about first."""
        return self.dataset, *self.features.joined

    def check(self, dataset: Dataset, others: Mapping[str, Dataset] | None = None) -> None:
        """Raise ConfigurationError where this cannot be made from `dataset`, naming the key.

        With `others`, the datasets that it joins by name, these are checked, too.
        """
        self.table_view().check(dataset)
        if others is not None:
            self.feature_view().check_joined(dataset, others)

    def feature_view(self) -> FeatureView:
        """Return what features depend on."""
        return FeatureView(**self._those(FeatureView))

    def table_view(self) -> TableView:
        """Return what the training table depends on."""
        return TableView(**self._those(TableView))

    def _those(self, view: type[FeatureView]) -> dict[str, Any]:
        """Return the values of a view's fields; what a fit keeps makes no feature anew."""
        values = {name: getattr(self, name) for name in view.model_fields}
        return values | {"features": self.features.unselected()}

    def fit_view(self) -> FitView:
        """Return what a fit depends on, apart from its candidate and its table."""
        return FitView(
            problem=self.problem,
            entity=self.entity,
            metric=self.metric,
            folds=self.split.folds,
            embargo=self.split.embargo,
            search=self.search,
            seed=self.seed,
            alerts=self.alerts,
            refit_on_holdout=self.refit_on_holdout,
            categories=self.features.categories,
            select=self.features.select,
            slices=tuple(self.slice_support()),
            intervals=self._calibration(),
        )

    def _calibration(self) -> Calibration | None:
        """Return what a fit needs of the intervals: how they are judged changes no model."""
        if self.intervals is None:
            return None
        return Calibration(
            **{name: getattr(self.intervals, name) for name in Calibration.model_fields}
        )

    def slice_support(self) -> dict[str, int]:
        """Return each column that the holdout is sliced by, and the fewest rows of a group."""
        support = {item.column: item.minimum_support for item in self.gates.slices}
        if self.intervals is not None and self.intervals.by is not None:
            support.setdefault(self.intervals.by, self.intervals.minimum_support)
        for column in self.report.slices:
            support.setdefault(column, self.report.minimum_support)
        return support


def load_use_case(home: Path, name: str) -> UseCase:
    """Read use_cases/NAME.yaml below `home`.

    Raises ConfigurationError for an unknown name (with the known ones), a typo or a wrong value.
    """
    use_case = read_yaml(find_yaml(home / "use_cases", "use case", name), UseCase)
    if use_case.name != name:
        raise ConfigurationError(
            f"use_cases/{name}.yaml says 'name: {use_case.name}'; make the two names equal."
        )
    return use_case


def known_use_cases(home: Path) -> list[str]:
    """Return the names of all use cases below `home`, sorted.

    Raises ConfigurationError where there is none, since a night with nothing to do is a mistake.
    """
    names = sorted(path.stem for path in (home / "use_cases").glob("*.yaml"))
    if not names:
        raise ConfigurationError(
            f"{home / 'use_cases'} holds no use case; add a YAML file, or correct RANCAST_HOME."
        )
    return names
