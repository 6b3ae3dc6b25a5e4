"""make layout: put a vendor's files into the raw container's folders, each row by its UTC day."""

import argparse
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from deployments.samples import RawFile, find_files
from rancast.datasets import Dataset, load_dataset
from rancast.errors import ConfigurationError, DataError, RancastError
from rancast.expectations import load_suite
from rancast.onboarding_layout import split_by_day
from rancast.onboarding_sample import blob_name
from rancast.settings import load_settings
from rancast.use_cases import load_use_case


def main() -> int:
    """Lay out what the command line asks for; the exit code tells whether it went through."""
    parser = argparse.ArgumentParser(prog="make layout", description=__doc__)
    parser.add_argument("data", type=Path, help="a file, or a folder of files of one feed")
    parser.add_argument("name", help="of the dataset, whose YAML says what a time is")
    parser.add_argument("--to", type=Path, help="a folder; by default the local raw container")
    parser.add_argument("--day", type=date.fromisoformat, help="of files that do not tell theirs")
    options = parser.parse_args()
    try:
        settings = load_settings()
        dataset = load_dataset(settings.home, options.name)
        _check_suite(settings.home, dataset)
        to = options.to or _local_folder(settings.raw)
        last = lay_out(find_files(options.data), dataset, to, options.day)
        print(_next_step(settings.home, dataset.name, last + timedelta(days=1)))
    except RancastError as error:
        print(f"\nThe layout stopped: {error}", file=sys.stderr)
        return 1
    return 0


def _check_suite(home: Path, dataset: Dataset) -> None:
    """Hold the suite against the dataset now, before `daily` does; it need not be written yet."""
    if (home / "expectations" / f"{dataset.name}.json").is_file():
        load_suite(home, dataset.name).check(dataset.as_delivered())


def _local_folder(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise ConfigurationError(
            f"RANCAST_RAW_URL is {url}, which is read only for rancast; set TO to a folder, and "
            "upload that with your own tools."
        )
    return Path(url2pathname(parts.path))


def _next_step(home: Path, dataset: str, end: date) -> str:
    """Return the command that trains on what was laid out, where a use case reads it."""
    cases = [load_use_case(home, path.stem) for path in (home / "use_cases").glob("*.yaml")]
    names = sorted(case.name for case in cases if case.dataset == dataset)
    if not names:
        return f"\nNext: write a use case that reads {dataset}, as docs/onboarding.md tells."
    call = f"daily({names}, date({end.year}, {end.month}, {end.day}))"
    code = f"from datetime import date; from flows.daily import daily; {call}"
    return f'\nNext: train, up to the day after the last one\n  .venv/bin/python -c "{code}"'


def lay_out(found: list[RawFile], dataset: Dataset, to: Path, day: date | None) -> date:
    """Write every file, in parts where it has rows of several days, below `to`.

    Returns the last day that has rows. Raises DataError for a file that cannot be read, or that
    would overwrite another one.
    """
    days: Counter[date] = Counter()
    for file in found:
        for at, part in _parts(file, dataset, day).items():
            target = to / blob_name(dataset.name, at, file.name)
            if target.exists() and target.read_bytes() != part:
                raise DataError(
                    f"{target} is there already with other content; remove it, or choose another "
                    "folder by TO."
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(part)
            days[at] += 1
    print(
        f"{len(found)} files are {days.total()} blobs on {len(days)} UTC days, {min(days)} to "
        f"{max(days)}, below {to / dataset.name}"
    )
    return max(days)


def _parts(file: RawFile, dataset: Dataset, day: date | None) -> dict[date, bytes]:
    data = file.path.read_bytes()
    if dataset.time.column not in dataset.from_path:
        return split_by_day(file.name, data, dataset)
    at = file.day or day
    if at is None:
        raise DataError(
            f"datasets/{dataset.name}.yaml takes the time from a file's folder, and {file.path} "
            "lies in none of a day; say by DAY=YYYY-MM-DD which day it is of."
        )
    return {at: data}


if __name__ == "__main__":
    sys.exit(main())
