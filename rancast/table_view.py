"""What a training table depends on beside features: its labels, and how its time is divided."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from rancast.column_checks import expect_columns, expect_condition, expect_no_ratio
from rancast.column_types import NUMERIC
from rancast.datasets import Dataset
from rancast.documents import Document, Duration
from rancast.durations import LengthOrZero, WholeDays, short_duration
from rancast.errors import ConfigurationError
from rancast.expressions import Expression
from rancast.feature_view import FeatureView
from rancast.field_types import Condition, columns_of
from rancast.problems import Problem


class Target(Document):
    """What is predicted: a breach (`any`) or a statistic (`mean`, ...) of a time after t."""

    within: Duration = Field(description="length of the time that is predicted")
    delay: LengthOrZero = Field(
        default=timedelta(0),
        description="how long after t that time begins: y is about (t + delay, t + delay + within]",
    )
    any: Condition | None = Field(
        default=None, description="an expression over columns: the breach"
    )
    given: Condition | None = Field(
        default=None,
        description="an expression over the row at t: where it does not hold, nothing is asked",
    )
    mean: str | None = Field(default=None, description="a column: its mean over the horizon")
    sum: str | None = Field(default=None, description="a column: its sum over the horizon")
    observed: float = Field(
        default=0.8, gt=0, le=1, description="share of the horizon that must have been seen"
    )
    carry: bool = Field(
        default=False,
        description="whether the value at t also stands for missing periods after it (grid.fill)",
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Target":
        given = [name for name in ("any", "mean", "sum") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"state exactly one of any, mean, sum; here: {', '.join(given) or 'none'}"
            )
        if self.within <= timedelta(0):
            raise ValueError(
                f"within is {self.within}: a target computed from its own row is not a forecast; "
                "state a horizon after t, such as 30min"
            )
        return self

    @property
    def reach(self) -> timedelta:
        """How far after t the label can see."""
        return self.delay + self.within

    @property
    def columns(self) -> tuple[str, ...]:
        """The dataset's columns that labels are made from, sorted."""
        if self.any is not None:
            return tuple(sorted(Expression(self.any).columns))
        return tuple(name for name in (self.mean, self.sum) if name is not None)


class Split(Document):
    """How time is divided: train < embargo < holdout; folds follow time inside train."""

    holdout: WholeDays
    embargo: LengthOrZero
    folds: Annotated[int, Field(ge=2, le=20)] = 3


class TableView(FeatureView):
    """The part of a use case that its training table depends on."""

    problem: Problem
    target: Target | None
    split: Split

    @property
    def stated_target(self) -> Target:
        """The target; raises ConfigurationError where there is none, as of a clustering."""
        if self.target is None:
            raise ConfigurationError(f"a {self.problem} has no target to make labels from.")
        return self.target

    def read_of_rows(self) -> dict[str, Iterable[str]]:
        """Return the own dataset's columns that are read as a row has them, by the key of each."""
        if self.target is None:
            return super().read_of_rows()
        named = {"target": self.target.columns, "target.given": columns_of(self.target.given)}
        return super().read_of_rows() | named

    def check(self, dataset: Dataset) -> None:
        """Raise ConfigurationError where this cannot be made from `dataset`, naming the key."""
        super().check(dataset)
        if self.target is not None:
            _check_horizon(self.target, self.period(dataset))
            _check_label(dataset, self.target)


def _check_horizon(target: Target, period: timedelta) -> None:
    if target.within < period:
        raise ConfigurationError(
            f"target.within ({short_duration(target.within)}) is shorter than the grid's "
            f"period ({short_duration(period)}), so that no row would lie in the horizon; "
            "make the horizon at least one period."
        )
    if target.delay % period:
        raise ConfigurationError(
            f"target.delay ({short_duration(target.delay)}) is no whole number of the "
            f"grid's periods ({short_duration(period)}); make it one."
        )


def _check_label(dataset: Dataset, target: Target) -> None:
    if target.given is not None:
        expect_condition(dataset, "target.given", target.given)
    if target.any is not None:
        expect_condition(dataset, "target.any", target.any)
    else:
        expect_columns(dataset, "target", target.columns, NUMERIC)
        expect_no_ratio(dataset, "target.sum", [target.sum or ""])
