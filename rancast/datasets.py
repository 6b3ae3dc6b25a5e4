"""What arrives: the schema of `datasets/NAME.yaml`, one stream of raw files with one form."""

import codecs
import re
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from rancast.documents import NAME, Document, Duration, find_yaml, read_yaml
from rancast.errors import ConfigurationError
from rancast.expressions import Expression
from rancast.hierarchy import Placement, load_hierarchy

Name = Annotated[str, Field(pattern=NAME)]
ColumnType = Literal["string", "float", "integer", "boolean", "timestamp"]


def _quoted(value: Any) -> Any:
    """Refuse what YAML took for a number, a truth value or nothing: its spelling is lost."""
    if isinstance(value, (bool, int, float)) or value is None:
        raise ValueError("marks and spellings are text: write it in quotes, such as '-200'")
    return value


Spelling = Annotated[str, BeforeValidator(_quoted)]

# the column that says whether an entity is present without being alive
IS_SLEEPING = "is_sleeping"

# Forms of stamps that strptime has no word for: microseconds in one unit of the number
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


def _repeated(names: Iterable[str]) -> str | None:
    """Return the first name that stands there twice, if any."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def with_value(pattern: str, place: str) -> str:
    """Return a regular expression that compiles and has the group 'value'."""
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"{place} does not compile: {error}") from error
    if "value" not in groups:
        raise ValueError(f"{place} has no group (?P<value>...)")
    return pattern


class Column(Document):
    """One column of the curated partition and where its values come from."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    type: ColumnType
    aliases: tuple[Spelling, ...] = Field(
        default=(), alias="from", description="names in raw files, beside the column's own"
    )
    missing: tuple[Spelling, ...] = Field(
        default=(),
        description="marks that mean 'no value', such as '-'; an empty cell always does. In a "
        "column of numbers a mark is compared as a number too: '-200' covers -200.0",
    )
    scale: float = Field(
        default=1.0,
        allow_inf_nan=False,
        description="raw value times scale plus offset = our unit; type float only",
    )
    offset: float = Field(default=0.0, allow_inf_nan=False)
    required: bool = Field(default=True, description="whether a file without it is refused")
    values: dict[Spelling, Spelling] = Field(
        default={}, description="raw spelling -> our spelling; other values stay as they are"
    )

    @model_validator(mode="after")
    def _units_go_with_float(self) -> "Column":
        if self.type != "float" and (self.scale, self.offset) != (1.0, 0.0):
            raise ValueError(f"scale and offset need type float, not {self.type}")
        if self.scale == 0:
            raise ValueError("scale is 0, which would turn every value into the offset")
        return self


class TimeColumn(Document):
    """The column that says when a row was measured, curated to the start of its period, in UTC."""

    column: str
    timezone: str = Field(default="UTC", description="IANA zone of stamps without an offset")
    format: str | None = Field(
        default=None,
        description="strptime format, or epoch_s, epoch_ms, epoch_us for numbers since 1970 UTC; "
        "else ISO 8601, such as 2024-03-01T00:05:00Z",
    )
    period: Duration | None = Field(default=None, description="length of a measurement period")
    stamped_at: Literal["start", "end"] = "start"
    ambiguous: Literal["reject", "first", "second"] = Field(
        default="reject",
        description="stamps without an offset in the hour that the clock repeats in autumn: "
        "rejected, or taken as the first (summer time) or second pass",
    )

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

    @field_validator("format")
    @classmethod
    def _is_format(cls, value: str | None) -> str | None:
        if value is None or value in EPOCHS:
            return value
        if "%Z" in value:
            raise ValueError("names of zones are ambiguous; use %z for offsets, or timezone")
        if "%I" in value and "%p" not in value:
            raise ValueError(f"{value!r} has the hours of a half day without %p")
        try:
            # A format without the year, the month or the day does not give this one back
            stamp = pd.Timestamp("2011-12-11T22:09:08Z")
            read = pd.to_datetime(stamp.strftime(value), format=value, utc=True)
        except (ValueError, re.error) as error:
            raise ValueError(f"{value!r} is not a strptime format: {error}") from error
        if pd.isna(read) or read.date() != stamp.date():
            raise ValueError(f"{value!r} does not say the year, the month and the day")
        return value

    @model_validator(mode="after")
    def _periods_are_positive(self) -> "TimeColumn":
        if self.period is not None and self.period <= timedelta(0):
            raise ValueError(f"period is {self.period}; it must be longer than nothing")
        if self.stamped_at == "end" and self.period is None:
            raise ValueError("'stamped_at: end' needs the period by which stamps are moved back")
        return self


class FileFormat(Document):
    """The dialect of the raw CSV files; Parquet and gzip are told from the file's name.

    A record is what Python's csv module takes for one, strictly: fields quoted with `"`, a quote in
    them doubled, lines ended by LF or CRLF. Blank lines are no records.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = Field(
        default=".", description="decimal mark of numbers; the other one is part of no number"
    )
    header: bool = Field(default=True, description="false: the files have no header line")
    names: tuple[str, ...] = Field(default=(), description="column names of headerless files")
    final_newline: bool = Field(
        default=True,
        description="whether the last record ends with a line break, as every other: one that does "
        "not is taken as cut short, and rejected. false: it is accepted",
    )
    limit_mb: Annotated[int, Field(ge=1, le=16_384)] = Field(
        default=1024, description="a blob that is larger, decompressed, is refused: 10**6 bytes"
    )

    @field_validator("delimiter")
    @classmethod
    def _is_delimiter(cls, value: str) -> str:
        if len(value) != 1 or not value.isascii() or value.isalnum() or value in '"\0\r\n.+-':
            raise ValueError(f"{value!r} cannot separate fields; one of , ; | or a tab can")
        return value

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, value: str) -> str:
        ascii_bytes = bytes(range(1, 128)) + rb"\n\u0041.xn--a"  # no codec that reads escapes
        try:
            is_superset = codecs.decode(ascii_bytes, value) == ascii_bytes.decode("ascii")
        except (LookupError, ValueError, TypeError) as error:
            raise ValueError(f"{value!r} is not an encoding, such as utf-8 or cp1252") from error
        if not is_superset:
            raise ValueError(f"{value!r} does not contain ASCII; utf-8, latin-1 and cp1252 do")
        return "utf-8" if codecs.lookup(value).name == "utf-8-sig" else value

    @model_validator(mode="after")
    def _names_go_with_headerless(self) -> "FileFormat":
        if self.header == bool(self.names):
            raise ValueError("'names' goes with 'header: false', and only with it")
        if twice := _repeated(self.names):
            raise ValueError(f"names has {twice!r} twice")
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> "FileFormat":
        if self.decimal == self.delimiter:
            raise ValueError(
                "delimiter and decimal are both a comma; files with a decimal comma have ; or a tab"
            )
        return self

    @property
    def limit_bytes(self) -> int:
        """The most bytes that a blob may have, as it is and decompressed."""
        return self.limit_mb * 1_000_000


class Ready(Document):
    """When the newest day counts as complete: at a coverage, or so long after it ended."""

    coverage: float | None = Field(
        default=None, gt=0, le=1, description="periodic: the watermark; events have a volume"
    )
    deadline: Duration = Field(description="so long after the day's end (UTC) it is taken as it is")
    every: Duration = Field(
        default=timedelta(minutes=15), description="how often a night that waits looks again"
    )

    @model_validator(mode="after")
    def _are_lengths(self) -> "Ready":
        if self.deadline <= timedelta(0) or self.every < timedelta(minutes=1):
            raise ValueError("deadline must be above zero, and every at least 1min")
        return self


class Cumulative(Document):
    """A column that only grows until it starts again, and the column of what each period added."""

    increment: Name = Field(description="name of the column of increments; its marks are beside it")
    width: int | None = Field(
        default=None, ge=8, le=62, description="bits after which it starts again from zero"
    )
    most: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="more than this in one period is wrong"
    )

    @property
    def suspect(self) -> str:
        """The column that says why an increment is missing, or what was done to have it."""
        return f"{self.increment}_suspect"


class Level(Document):
    """A level above the entity, such as its site, read out of another column's text."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    source: str = Field(alias="from", description="a column of text, such as cell_id")
    pattern: str = Field(
        description="a regular expression over its text, whose group 'value' the level is"
    )

    @field_validator("pattern")
    @classmethod
    def _has_value(cls, pattern: str) -> str:
        return with_value(pattern, "the pattern")


class Kpi(Document):
    """A ratio of sums, or a sum, over the columns of one row and of any number of rows."""

    numerator: str = Field(description="an expression over columns, summed")
    denominator: str | None = Field(
        default=None, description="an expression over columns, summed; without one it is a sum"
    )
    unit: str = Field(default="", description="such as ratio, Mbit/s or calls")
    observed: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="share of a coarser grid's period that must have been seen; else it is missing",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is made from, sorted."""
        parts = [self.numerator, *([] if self.denominator is None else [self.denominator])]
        return tuple(sorted({name for text in parts for name in Expression(text).columns}))

    @model_validator(mode="after")
    def _adds_up(self) -> "Kpi":
        for key in ("numerator", "denominator"):
            text = getattr(self, key)
            if text is None:
                continue
            try:
                expression = Expression(text)
                expression.amounts(pd.DataFrame(columns=sorted(expression.columns), dtype=float))
            except ConfigurationError as error:
                raise ValueError(f"{key}: {error}") from error
            if expression.divisors:
                raise ValueError(
                    f"{key} {text!r} divides by {', '.join(sorted(expression.divisors))}, and sums "
                    "of quotients are no quotient of sums; state numerator and denominator apart"
                )
        if not Expression(self.numerator).columns:
            raise ValueError(f"numerator {self.numerator!r} names no column, such as dropped_calls")
        return self


class Sleeping(Document):
    """When an entity is suspected of sleep: it reports, and carries nothing while others do."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    traffic: str = Field(description="a column that is 0 where nothing was carried; it adds up")
    level: str = Field(description="a level whose entities are neighbours, such as site")
    least: Duration = Field(
        default=timedelta(hours=1),
        alias="for",
        description="so long without traffic; before t, which adds to what features look back on",
    )

    @field_validator("least")
    @classmethod
    def _is_a_length(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError(f"sleep for {value} is none; state a length, such as 1h")
        return value


class Dataset(Document):
    """One stream of raw files; see docs/onboarding.md for each key."""

    name: Name
    description: str = ""
    kind: Literal["periodic", "events"]
    format: FileFormat = FileFormat()
    time: TimeColumn
    key: tuple[str, ...] = Field(
        min_length=1, description="columns that identify a row; none of their cells may be missing"
    )
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
    columns: dict[Name, Column] = Field(min_length=1)
    ignore: tuple[str, ...] = Field(
        default=(), description="names in raw files that are known and not kept"
    )
    from_path: dict[str, str] = Field(
        default={},
        description="column -> regular expression over the blob's name, whose group 'value' it is",
    )
    pseudonymise: dict[str, Name] = Field(
        default={}, description="column -> domain; one domain for customer and caller, so they join"
    )
    quarantine_limit: float = Field(default=0.05, ge=0, le=1)
    minimum_coverage: float = Field(
        default=0.0, ge=0, le=1, description="a periodic day below it is refused"
    )
    cumulative: dict[str, Cumulative] = Field(
        default={}, description="column that counts on and on -> the column of its increments"
    )
    kpis: dict[Name, Kpi] = Field(
        default={}, description="name -> formula over counters; sums over sums at every level"
    )
    hierarchy: Name | None = Field(
        default=None, description="whose levels are columns: a file hierarchies/NAME.csv"
    )
    levels: dict[Name, Level] = Field(
        default={}, description="name -> a level above the entity, such as site, out of its name"
    )
    sleeping: Sleeping | None = Field(
        default=None, description="who is suspected of sleep: the boolean column is_sleeping"
    )
    # no part of any step key: it says when to compute, not what
    ready: Ready | None = Field(
        default=None, exclude=True, description="default: a day is complete as it is found"
    )

    @field_validator("from_path")
    @classmethod
    def _patterns_have_value(cls, patterns: dict[str, str]) -> dict[str, str]:
        for column, pattern in patterns.items():
            with_value(pattern, f"the pattern of {column!r}")
        return patterns

    @model_validator(mode="after")
    def _names_are_columns(self) -> "Dataset":
        named: dict[str, Iterable[str]] = {
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
        return self

    @model_validator(mode="after")
    def _kind_fits(self) -> "Dataset":
        if self.kind == "periodic":
            if self.time.period is None:
                raise ValueError("a periodic dataset needs time.period, such as 5min")
            if self.entity is None:
                raise ValueError("a periodic dataset needs an entity, such as cell_id")
            if not {self.entity, self.time.column} <= set(self.key):
                raise ValueError(
                    "a periodic dataset has one row per entity and period, so that its key must "
                    f"hold {self.entity!r} and {self.time.column!r}"
                )
            if self.volume is not None:
                raise ValueError("volume is for events; a periodic dataset has minimum_coverage")
            if self.ready is not None and self.ready.coverage is None:
                raise ValueError("ready of a periodic dataset needs a coverage, such as 0.95")
        elif self.ready is not None and (self.ready.coverage is not None or self.volume is None):
            raise ValueError("ready of events goes by volume; state volume, and no coverage")
        elif self.minimum_coverage > 0:
            raise ValueError("minimum_coverage is for periodic datasets; events have a volume")
        if self.volume is not None and not 0 <= self.volume[0] <= self.volume[1]:
            raise ValueError(f"volume is {list(self.volume)}: the fewest rows come first")
        if self.tolerance < timedelta(0):
            raise ValueError(f"tolerance is {self.tolerance}; it cannot be negative")
        return self

    @model_validator(mode="after")
    def _raw_names_lead_to_one_column(self) -> "Dataset":
        known = [name for column in self.raw_columns for name in self.aliases_of(column)]
        if twice := _repeated([*known, *self.ignore]):
            raise ValueError(f"the raw name {twice!r} stands for two things in columns and ignore")
        if self.format.names:
            self._check_given_names(set(known))
        return self

    def _check_given_names(self, known: set[str]) -> None:
        names = self.format.names
        for name in names:
            if name not in known and name not in self.ignore:
                raise ValueError(f"format.names has {name!r}, which no column is taken from")
        for column in self.raw_columns:
            if self.columns[column].required and not set(self.aliases_of(column)) & set(names):
                raise ValueError(f"no name in format.names leads to the required column {column!r}")

    @model_validator(mode="after")
    def _pseudonyms_are_possible(self) -> "Dataset":
        for column in self.pseudonymise:
            if self.columns[column].type != "string":
                raise ValueError(
                    f"pseudonymise names {column!r} of type {self.columns[column].type}; "
                    "identifiers are strings"
                )
            if column in self.from_path:
                raise ValueError(
                    f"{column!r} is pseudonymised and taken from the blob's name, where it would "
                    "stay readable; have the files named without it"
                )
        return self

    @model_validator(mode="after")
    def _derived_columns_are_possible(self) -> "Dataset":
        derived = [name for item in self.cumulative.values() for name in _made_by(item)]
        derived += [] if self.sleeping is None else [IS_SLEEPING]
        names = [*self.columns, *derived, *self.kpis, *self.levels]
        if twice := _repeated(names):
            raise ValueError(
                f"{twice!r} stands for two things in columns, cumulative, kpis, levels and "
                "sleeping; rename one"
            )
        for name, level in self.levels.items():
            if self._type_of(level.source) != "string":
                raise ValueError(
                    f"levels.{name} is from {level.source!r}, which is not a column of text"
                )
        if self.cumulative and self.kind != "periodic":
            raise ValueError("cumulative needs a periodic dataset: an increment is of one period")
        for name in self.cumulative:
            if name in self.mandatory or self._type_of(name) not in ("float", "integer"):
                raise ValueError(
                    f"cumulative names {name!r}, which is not a column of numbers beside the key"
                )
        for name, kpi in self.kpis.items():
            self._check_kpi(name, kpi)
        return self

    @model_validator(mode="after")
    def _sleep_can_be_told(self) -> "Dataset":
        if self.sleeping is None:
            return self
        if self.kind != "periodic":
            raise ValueError("sleeping needs a periodic dataset: who is silent there is absent")
        name = self.sleeping.traffic
        is_ratio = name in self.kpis and self.kpis[name].denominator is not None
        is_number = self.types.get(name) in ("float", "integer")
        if not is_number or is_ratio or name in self.cumulative:
            raise ValueError(
                f"sleeping.traffic names {name!r}, which is no number of one period that adds up; "
                "take a column, an increment or a KPI without a denominator"
            )
        if self.hierarchy is None:
            self._check_level_of_sleep()
        return self

    def _check_level_of_sleep(self) -> None:
        if self.sleeping is None:
            return
        level = self.sleeping.level
        if self.types.get(level) != "string" or level == self.entity:
            raise ValueError(
                f"sleeping.level names {level!r}, which is not a level above the entity; state it "
                "in levels or by a hierarchy"
            )

    def _check_kpi(self, name: str, kpi: Kpi) -> None:
        for column in kpi.columns:
            if column in self.cumulative:
                raise ValueError(
                    f"kpis.{name} names {column!r}, which counts on and on; name its increment "
                    f"{self.cumulative[column].increment!r}"
                )
            if column in self.kpis or self.types.get(column) not in ("float", "integer"):
                raise ValueError(
                    f"kpis.{name} names {column!r}, which is not a column of numbers of this "
                    "dataset"
                )

    def _type_of(self, name: str) -> ColumnType | None:
        return self.columns[name].type if name in self.columns else None

    @property
    def types(self) -> dict[str, ColumnType]:
        """The type of each column that a use case can name: the delivered ones, then the others."""
        found: dict[str, ColumnType] = {name: item.type for name, item in self.columns.items()}
        for item in self.cumulative.values():
            found |= {item.increment: "float", item.suspect: "string"}
        if self.sleeping is not None:
            found[IS_SLEEPING] = "boolean"
        return found | dict.fromkeys(self.kpis, "float") | dict.fromkeys(self.levels, "string")

    def as_delivered(self) -> "Dataset":
        """Return it without what is derived: reading and validating depend on nothing else."""
        derived: dict[str, Any] = {"cumulative": {}, "kpis": {}, "levels": {}, "hierarchy": None}
        return self.model_copy(update=derived | {"sleeping": None})

    def between(self, start: date, end: date) -> "Dataset":
        """Return it as rows of the days from `start` up to, and without, `end` depend on it."""
        return self

    @property
    def has_subscribers(self) -> bool:
        """Whether cells of this dataset must never show in errors, quarantine or reports."""
        return bool(self.pseudonymise)

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """The columns that are read from a file's content, in order; the others are in its path."""
        return tuple(name for name in self.columns if name not in self.from_path)

    @property
    def mandatory(self) -> frozenset[str]:
        """The columns whose cells cannot be missing: the key and the time."""
        return frozenset({*self.key, self.time.column})

    def aliases_of(self, column: str) -> tuple[str, ...]:
        """Return the names under which raw files may carry `column`, its own among them."""
        aliases = self.columns[column].aliases
        return (column, *(alias for alias in aliases if alias != column))


class PlacedDataset(Dataset):
    """A dataset whose entities a hierarchy places: its levels are columns of text."""

    placement: Placement

    @model_validator(mode="after")
    def _levels_are_new(self) -> "PlacedDataset":
        if self.entity is None:
            raise ValueError("hierarchy places entities, and the dataset names none; state entity")
        if twice := _repeated([*super().types, *self.placement.levels]):
            raise ValueError(
                f"{twice!r} is a level of hierarchy {self.hierarchy!r} and something else here; "
                "rename one"
            )
        self._check_level_of_sleep()
        return self

    @property
    def types(self) -> dict[str, ColumnType]:
        """The type of each column that a use case can name, the hierarchy's levels last."""
        return super().types | dict.fromkeys(self.placement.levels, "string")

    def as_delivered(self) -> Dataset:
        """Return it without what is derived, placed nowhere."""
        fields = {name: getattr(self, name) for name in Dataset.model_fields}
        return Dataset(**fields).as_delivered()

    def between(self, start: date, end: date) -> "PlacedDataset":
        """Return it with what the hierarchy says of these days: later moves are not part of it."""
        return self.model_copy(update={"placement": self.placement.between(start, end)})


# as a step is given it: what is placed stays so when it is read back from the ledger
AnyDataset = PlacedDataset | Dataset


def _made_by(item: Cumulative) -> tuple[str, str]:
    return item.increment, item.suspect


def known_datasets(home: Path) -> list[str]:
    """Return the names of all datasets below `home`, sorted."""
    return sorted(path.stem for path in (home / "datasets").glob("*.yaml"))


def load_dataset(home: Path, name: str) -> Dataset:
    """Read datasets/NAME.yaml below `home`.

    Raises ConfigurationError for an unknown name (with the known ones), a typo or a wrong value.
    """
    dataset = read_yaml(find_yaml(home / "datasets", "dataset", name), Dataset)
    _check_name(dataset.name, name, "datasets")
    if dataset.hierarchy is None:
        return dataset
    fields = {name: getattr(dataset, name) for name in Dataset.model_fields}
    placement = Placement.of(load_hierarchy(home, dataset.hierarchy))
    try:
        return PlacedDataset(**fields, placement=placement)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ConfigurationError(f"datasets/{name}.yaml: {reason}.") from error


def _check_name(inside: str, outside: str, folder: str) -> None:
    if inside != outside:
        raise ConfigurationError(
            f"{folder}/{outside}.yaml says 'name: {inside}'; make the two names equal."
        )


def schema() -> dict[str, Any]:
    """Return the JSON schema of a dataset file, for editors."""
    return Dataset.model_json_schema()
