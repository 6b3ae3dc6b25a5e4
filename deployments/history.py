"""make history: who was champion when, by whose word and why, as the ledger has it."""

import argparse
import sys
from datetime import UTC, datetime

from rancast.champions import Pointer, history_rows
from rancast.errors import ConfigurationError, RancastError
from rancast.settings import load_settings
from rancast.use_cases import load_use_case
from tasks.stores import open_ledger


def main(arguments: list[str] | None = None) -> int:
    """Print the history of one use case, or its champion at one moment; return the exit code."""
    parser = argparse.ArgumentParser(prog="make history", description=__doc__)
    parser.add_argument("use_case", help="name of the use case")
    parser.add_argument("at", nargs="?", default="", help="a time such as 2024-03-20T05:00 (UTC)")
    given = parser.parse_args(arguments)
    try:
        moment = parse_moment(given.at) if given.at else None
        load_use_case(load_settings().home, given.use_case)
        pointer = open_ledger().pointer(given.use_case)
    except RancastError as error:
        print(error, file=sys.stderr)
        return 1
    if pointer is None:
        print(f"{given.use_case} has had no champion yet.")
    elif moment is None:
        print(table(pointer))
    else:
        print(answer(pointer, moment))
    return 0


def parse_moment(text: str) -> datetime:
    """Read an ISO 8601 time, UTC unless it says another zone.

    Raises ConfigurationError for anything else.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a time; write it as 2024-03-20T05:00, in UTC, or with its offset, as "
            "2024-03-20T05:00+01:00."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def table(pointer: Pointer) -> str:
    """Return the history as lines of text, the newest first, each entry with its reasons below."""
    rows = history_rows(pointer)
    names = [name for name in rows[0] if name != "reasons"]
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in names}
    lines = ["  ".join(f"{name:<{widths[name]}}" for name in names)]
    for row in rows:
        lines.append("  ".join(f"{row[name]!s:<{widths[name]}}" for name in names))
        lines.append(f"    {row['reasons']}")
    return "\n".join(line.rstrip() for line in lines)


def answer(pointer: Pointer, moment: datetime) -> str:
    """Say in a sentence who was champion at a moment, since when and why."""
    when = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    past = [entry for entry in pointer.history if entry.at <= moment]
    champion = pointer.champion_at(moment)
    if champion is None:
        return f"At {when} {pointer.use_case} had no champion yet."
    entry = past[-1]
    return (
        f"At {when} version {champion.version} ({champion.candidate}) was champion of "
        f"{pointer.use_case}, since {entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, by "
        f"{entry.kind} of {entry.by} (as declared): {' '.join(entry.reasons)}"
    )


if __name__ == "__main__":
    sys.exit(main())
