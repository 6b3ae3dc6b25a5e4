"""The leakage audit of public tables: `python -m benchmarks.leakage_audit`.

One table as it was published (iranian_churn), and the training tables of the use cases under
examples/, made by the product's own functions. Markdown goes to stdout, for docs/results.md.
"""

import re
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from benchmarks.real_data import CHECKOUT, DATA, JOBS, lay_out
from deployments.samples import find_files, read_sample
from rancast.audit import audit, audit_table, view_of
from rancast.audit_findings import Audit, audit_markdown
from rancast.datasets import Dataset, load_dataset
from rancast.duplicates import deduplicate
from rancast.features import build, lookback_days
from rancast.onboarding import typed_table
from rancast.reading import read_partition
from rancast.tables import assemble
from rancast.use_cases import UseCase, load_use_case


def main() -> None:
    """Audit every table, and print what is found."""
    if not (DATA / "lay_out.py").is_file():
        sys.exit(f"The public data sets are not at {DATA}; put them there, with their lay_out.py.")
    churn = typed_table(read_sample(find_files(DATA / "iranian_churn" / "Customer Churn.csv")))
    _print("iranian_churn, label Churn", audit_table(churn, "Churn"), 0)
    with tempfile.TemporaryDirectory(prefix="rancast-audit-") as folder:
        lay_out(DATA, Path(folder))
        for job in JOBS.values():
            home = CHECKOUT / "examples" / job.home
            for name in job.use_cases:
                case = load_use_case(home, name)
                dataset = load_dataset(home, case.dataset)
                days = read_days(Path(folder), dataset)
                table = table_of(days, case, dataset, job.as_of)
                started = time.monotonic()
                found = audit(table, list(days.values()), view_of(case), dataset)
                _print(f"{name}, as of {job.as_of}", found, time.monotonic() - started)


def read_days(raw: Path, dataset: Dataset) -> dict[date, pd.DataFrame]:
    """Return each day of a dataset as it is curated, but for its suite."""
    days = {}
    for folder in sorted((raw / dataset.name).glob("year=*/month=*/day=*")):
        blobs = {str(path.relative_to(raw)): path.read_bytes() for path in folder.iterdir()}
        kept = deduplicate(read_partition(blobs, dataset, b"").typed, dataset).kept
        day = date(*map(int, re.findall(r"=(\d+)", folder.as_posix())))
        days[day] = kept[list(dataset.columns)]
    return days


def table_of(
    days: dict[date, pd.DataFrame], case: UseCase, dataset: Dataset, end: date
) -> pd.DataFrame:
    """Return the training table of a use case up to a day."""
    view = case.feature_view()
    back = lookback_days(view, dataset) * timedelta(days=1)
    features = [
        build([days[at] for at in days if day - back <= at <= day], view, dataset, day)
        for day in days
    ]
    return assemble(features, list(days.values()), case.table_view(), dataset, end).table


def _print(title: str, found: Audit, seconds: float) -> None:
    print(f"### {title}\n\n{audit_markdown(found)}\n", flush=True)
    print(f"{title}: {seconds:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
