"""make audit: does a table with a label know what it must not? A report for its owner."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from deployments.samples import find_files, read_sample
from rancast.audit import audit_table
from rancast.audit_findings import audit_markdown
from rancast.errors import ConfigurationError, RancastError
from rancast.onboarding import typed_table


def main() -> int:
    """Audit what the command line asks for; 0: nothing refused, 1: no audit, 2: refused."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("data", type=Path, help="a CSV or Parquet file, or a folder of them")
    parser.add_argument("target", help="the column of the label, as the file calls it")
    parser.add_argument("--time", help="the column of the time of observation")
    parser.add_argument("--entity", help="the column of what a row is about")
    options = parser.parse_args()
    try:
        table = read(options.data)
        time = options.time or _only_time(table)
        found = audit_table(table, options.target, time, options.entity or None)
    except RancastError as error:
        print(f"\nNo audit: {error}", file=sys.stderr)
        return 1
    print(audit_markdown(found))
    return 2 if found.is_refused else 0


def read(data: Path) -> pd.DataFrame:
    """Return the rows of a file as a typed frame under its own names."""
    return typed_table(read_sample(find_files(data)))


def _only_time(table: pd.DataFrame) -> str | None:
    """Return the column of times, if there is one; raises ConfigurationError for several."""
    times = [str(name) for name in table if pd.api.types.is_datetime64_any_dtype(table[name].dtype)]
    if len(times) > 1:
        raise ConfigurationError(
            f"the table has {len(times)} columns of times, {', '.join(times)}; say by TIME=... "
            "which one is the time of observation."
        )
    return times[0] if times else None


if __name__ == "__main__":
    sys.exit(main())
