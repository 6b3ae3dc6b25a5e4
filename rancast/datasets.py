"""What arrives: the schema of `datasets/NAME.yaml`, one stream of raw files with one form."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from rancast.documents import Document, Duration, find_yaml, read_yaml
from rancast.errors import ConfigurationError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
ColumnType = Literal["string", "float", "integer", "boolean", "timestamp"]


class Column(Document):
    """One column of the curated partition and where its values come from."""

    type: ColumnType
    aliases: tuple[str, ...] = Field(default=(), alias="from", description="names in raw files")
    missing: tuple[str, ...] = Field(
        default=(), description="marks that mean 'no value', such as '-'"
    )
    scale: float = Field(default=1.0, description="raw value times scale plus offset = our unit")
    offset: float = 0.0
    required: bool = Field(default=True, description="whether a file without it is refused")
    values: dict[str, str] = Field(default={}, description="raw spelling -> our spelling")


class TimeColumn(Document):
    """The column that says when a row was measured, always curated to the start of its period, UTC."""

    column: str
    timezone: str = Field(default="UTC", description="IANA zone of stamps without an offset")
    format: str | None = Field(default=None, description="strptime format; else ISO 8601")
    period: Duration | None = Field(default=None, description="length of a measurement period")
    stamped_at: Literal["start", "end"] = "start"

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"{value!r} is not an IANA time zone, such as Europe/Dublin"
            ) from error
        return value


class FileFormat(Document):
    """The dialect of the raw files; Parquet is told from the file's name."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8"
    header: bool = Field(default=True, description="false: the files have no header line")
    names: tuple[str, ...] = Field(default=(), description="column names of headerless files")

    @model_validator(mode="after")
    def _names_go_with_headerless(self) -> "FileFormat":
        if self.header == bool(self.names):
            raise ValueError("'names' goes with 'header: false', and only with it")
        return self


class Dataset(Document):
    """One stream of raw files; see docs/onboarding.md for each key."""

    name: Name
    description: str = ""
    kind: Literal["periodic", "events"]
    format: FileFormat = FileFormat()
    time: TimeColumn
    key: tuple[str, ...] = Field(min_length=1, description="columns that identify a row")
    entity: str | None = Field(default=None, description="column whose values are the register")
    duplicates: Literal["quarantine", "first", "last", "mean"] = "quarantine"
    expected: Literal["daily", "no"] = "no"
    tolerance: Duration = Field(
        default=timedelta(0), description="how far outside its day a row may lie and be kept"
    )
    register_days: int = Field(
        default=7, ge=1, description="days in which an entity must have been seen to be expected"
    )
    volume: tuple[int, int] | None = Field(
        default=None, description="events: fewest and most rows of a usual day"
    )
    columns: dict[str, Column]
    from_path: dict[str, str] = Field(
        default={},
        description="column -> regular expression over the blob's name, whose group 'value' it is",
    )
    pseudonymise: dict[str, str] = Field(
        default={}, description="column -> domain; one domain for customer and caller, so they join"
    )
    quarantine_limit: float = Field(default=0.05, ge=0, le=1)
    minimum_coverage: float = Field(
        default=0.0, ge=0, le=1, description="a periodic day below it is refused"
    )

    @field_validator("from_path")
    @classmethod
    def _patterns_have_value(cls, patterns: dict[str, str]) -> dict[str, str]:
        for column, pattern in patterns.items():
            try:
                groups = re.compile(pattern).groupindex
            except re.error as error:
                raise ValueError(f"the pattern of {column!r} does not compile: {error}") from error
            if "value" not in groups:
                raise ValueError(f"the pattern of {column!r} has no group (?P<value>...)")
        return patterns

    @model_validator(mode="after")
    def _names_are_columns(self) -> "Dataset":
        named = {
            "time.column": [self.time.column],
            "key": self.key,
            "entity": [self.entity] if self.entity else [],
            "from_path": self.from_path,
            "pseudonymise": self.pseudonymise,
        }
        for place, names in named.items():
            for name in names:
                if name not in self.columns:
                    raise ValueError(
                        f"{place} names {name!r}, which is not among the columns: "
                        f"{', '.join(self.columns)}"
                    )
        if self.columns[self.time.column].type != "timestamp":
            raise ValueError(f"the time column {self.time.column!r} must have type timestamp")
        if self.kind == "periodic" and self.time.period is None:
            raise ValueError("a periodic dataset needs time.period, such as 5min")
        if self.kind == "periodic" and self.entity is None:
            raise ValueError("a periodic dataset needs an entity, such as cell_id")
        return self

    @property
    def has_subscribers(self) -> bool:
        """Whether cells of this dataset must never show in errors, quarantine or reports."""
        return bool(self.pseudonymise)

    def aliases_of(self, column: str) -> tuple[str, ...]:
        """Return the names under which raw files may carry `column`, its own among them."""
        return (column, *self.columns[column].aliases)


def load_dataset(home: Path, name: str) -> Dataset:
    """Read datasets/NAME.yaml below `home`.

    Raises ConfigurationError for an unknown name (with the known ones), a typo or a wrong value.
    """
    dataset = read_yaml(find_yaml(home / "datasets", "dataset", name), Dataset)
    _check_name(dataset.name, name, "datasets")
    return dataset


def _check_name(inside: str, outside: str, folder: str) -> None:
    if inside != outside:
        raise ConfigurationError(
            f"{folder}/{outside}.yaml says 'name: {inside}'; make the two names equal."
        )


def schema() -> dict[str, Any]:
    """Return the JSON schema of a dataset file, for editors."""
    return Dataset.model_json_schema()
