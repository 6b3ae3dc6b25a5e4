"""The text of a drafted `datasets/NAME.yaml`: every guess under a comment with its evidence."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rancast.onboarding_cells import ColumnGuess
from rancast.onboarding_delivery import Delivery
from rancast.onboarding_dialect import Dialect
from rancast.onboarding_keys import KeyGuess
from rancast.onboarding_measures import KpiGuess, guess_kpis
from rancast.onboarding_names import DAY, FILE
from rancast.onboarding_sample import DAY_FORMAT, DAY_IN_PATH, FILE_IN_PATH, SampleTable
from rancast.onboarding_times import ZoneGuess
from rancast.onboarding_yaml import comment, flow, number_of, scalar

MODELINE = "# yaml-language-server: $schema={schemas}/{kind}.json"


class Guesses(NamedTuple):
    """All that was guessed of one feed; `zone` is None where no column is a time."""

    name: str
    table: SampleTable
    dialect: Dialect
    columns: tuple[ColumnGuess, ...]
    key: KeyGuess
    clock: ColumnGuess | None
    zone: ZoneGuess | None
    delivery: Delivery

    @property
    def kpis(self) -> dict[str, KpiGuess]:
        """The KPI that each measure becomes where one row is not its entity."""
        return guess_kpis(self.columns, self.key)

    @property
    def time(self) -> str:
        """The name of the time column."""
        return self.key.clock or DAY

    @property
    def sample(self) -> str:
        """What was looked at, in words."""
        files, whole = self.table.files, sum(file.is_whole for file in self.table.files)
        size = sum(len(file.data) for file in files) / 1e6
        heads = "" if whole == len(files) else f" ({whole} of them to their end)"
        return (
            f"{number_of(self.table.rows, 'record')} of {number_of(len(files), 'file')}{heads}, "
            f"{size:,.1f} MB"
        )


def dataset_text(guesses: Guesses, schemas: str) -> str:
    """Return the YAML; `schemas` is the folder of the JSON schemas, as seen from the file."""
    lines = [
        MODELINE.format(schemas=schemas, kind="dataset"),
        *comment(
            f"Drafted by make onboard from a sample: {guesses.sample}. Nobody told what it means: "
            "read each comment, correct the guess below it, then write what you know instead."
        ),
        f"name: {scalar(guesses.name)}",
        'description: ""  # one line for people',
        *_kind(guesses),
        *_format(guesses.dialect),
        *_time(guesses),
        *_identity(guesses),
        *_days(guesses.delivery),
        *_columns(guesses),
        *_kpis(guesses),
        *_from_path(guesses),
        *_pseudonyms(guesses.columns),
    ]
    return "\n".join(lines) + "\n"


def _kind(guesses: Guesses) -> list[str]:
    return [*comment(*guesses.key.notes["kind"]), f"kind: {guesses.key.kind}"]


def _format(dialect: Dialect) -> Iterator[str]:
    given = dialect.form.model_dump(exclude_defaults=True)
    if not dialect.notes:
        return
    told = [f"{key}: {note}" for key, note in dialect.notes.items()]
    if not given:
        yield from comment("CSV files have the usual format.", *told)
        return
    yield from comment(*told)
    yield "format:"
    for key, value in given.items():
        yield f"  {key}: {flow(value)}"


def _time(guesses: Guesses) -> Iterator[str]:
    key, clock, zone = guesses.key, guesses.clock, guesses.zone
    yield "time:"
    if clock is None or clock.time is None or zone is None:
        yield from comment(
            "no column reads as a time; the day of the file's folder stands for it, so that rows "
            "of one delivery all have the same. Have the time of measurement delivered",
            indent=2,
        )
        yield f"  column: {DAY}"
        yield f"  format: {scalar(DAY_FORMAT)}"
        return
    yield from comment(*clock.time.notes, indent=2)
    yield f"  column: {scalar(clock.name)}"
    if clock.time.format is not None:
        yield f"  format: {scalar(clock.time.format)}"
    yield from comment(zone.note, indent=2)
    yield f"  timezone: {zone.timezone}"
    if zone.ambiguous != "reject":
        yield from comment("stamps lie in the hour that the clock repeats in autumn", indent=2)
        yield f"  ambiguous: {zone.ambiguous}"
    if key.period is not None:
        yield from comment(*key.notes["kind"], indent=2)
        yield f"  period: {scalar(key.period)}"
        yield from comment(*key.notes["stamped_at"], indent=2)
        yield f"  stamped_at: {key.stamped_at}"


def _identity(guesses: Guesses) -> Iterator[str]:
    key = guesses.key
    names = [*key.key] if guesses.clock else [*key.key, DAY]
    yield from comment(*key.notes["key"])
    yield f"key: {flow(names)}"
    yield from comment(*key.notes["entity"])
    if key.entity is not None:
        yield f"entity: {scalar(key.entity)}"
    yield from comment(*key.notes["duplicates"])
    yield f"duplicates: {key.duplicates}"


def _days(delivery: Delivery) -> Iterator[str]:
    yield from comment(*delivery.notes["expected"])
    yield f"expected: {scalar(delivery.expected)}"
    if late := delivery.notes.get("tolerance"):
        yield from comment(*late)
        yield f"tolerance: {scalar(delivery.tolerance)}"
    if delivery.volume is not None:
        yield from comment(*delivery.notes["volume"])
        yield f"volume: {flow(list(delivery.volume))}"


def _columns(guesses: Guesses) -> Iterator[str]:
    yield "columns:"
    if guesses.key.needs_file:
        yield f"  {FILE}: {{type: string}}  # from the file's name, see from_path"
    if guesses.clock is None:
        yield f"  {DAY}: {{type: timestamp}}  # from the file's folder, see from_path"
    for guess in guesses.columns:
        if guess.time is None or guess.name == guesses.time:
            yield from comment(*_told(guess, guesses.name), indent=2)
        else:
            yield from comment(*guess.notes, "another time", indent=2)
        yield f"  {scalar(guess.name)}: {flow(column(guess))}"


def _told(guess: ColumnGuess, dataset: str) -> list[str]:
    """Return the evidence of a column; that of the clock stands at `time`."""
    notes = [note for note in guess.notes if guess.time is None or note not in guess.time.notes]
    if guess.is_constant and guess.type != "timestamp" and guess.present:
        notes.append(
            f"constant: all {guess.present:,} cells that have a value have the same; if that stays "
            f"so, move its raw name to ignore, and take {guess.name} out of "
            f"expectations/{dataset}.json, out of column_set, too"
        )
    return notes


def column(guess: ColumnGuess) -> dict[str, Any]:
    """Return the keys and values of one column."""
    found: dict[str, Any] = {"type": guess.type}
    if guess.raw != guess.name:
        found["from"] = [guess.raw]
    if guess.missing:
        found["missing"] = list(guess.missing)
    if not guess.is_required:
        found["required"] = False
    return found


def _kpis(guesses: Guesses) -> Iterator[str]:
    if guesses.kpis:
        yield from comment(
            f"{guesses.key.several}, so that no row is the {guesses.key.entity}: use cases name "
            "KPIs, which add the rows up (docs/onboarding.md, several rows of one entity)"
        )
        yield "kpis:"
    for kpi in guesses.kpis.values():
        why = "a sum, by its name; if it is none, give it a denominator"
        if not kpi.is_sum:
            why = (
                "its name does not say that it adds up: the plain mean of the rows. A sum has no "
                f"denominator; a fair mean weighs: {kpi.measure} * users over users"
            )
        yield from comment(why, indent=2)
        formula = {"numerator": kpi.measure} | ({} if kpi.is_sum else {"denominator": "1"})
        yield f"  {scalar(kpi.name)}: {flow(formula)}"


def _from_path(guesses: Guesses) -> Iterator[str]:
    if guesses.key.needs_file or guesses.clock is None:
        yield "from_path:"
    if guesses.key.needs_file:
        yield f"  {FILE}: {scalar(FILE_IN_PATH)}"
    if guesses.clock is None:
        yield f"  {DAY}: {scalar(DAY_IN_PATH)}"


def _pseudonyms(columns: Sequence[ColumnGuess]) -> Iterator[str]:
    people = [guess for guess in columns if guess.domain]
    if people:
        yield from comment(
            "columns that identify people, see theirs above; columns of one domain still join, in "
            "all datasets. With it, no error, quarantine or report shows a cell of this dataset"
        )
        yield "pseudonymise:"
    for guess in people:
        yield f"  {scalar(guess.name)}: {guess.domain}"
