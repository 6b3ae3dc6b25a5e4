"""make onboard: look at a sample of a vendor's files, and draft the YAML and the suite for them."""

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path

from deployments.samples import MOST_BYTES, MOST_FILES, MOST_ROWS, find_files, read_sample
from rancast.errors import ConfigurationError, RancastError
from rancast.onboarding import Draft, draft
from rancast.onboarding_names import check_name
from rancast.onboarding_sample import NO_DAY
from rancast.partitions import Partition
from rancast.schemas import KINDS
from rancast.schemas import main as write_schemas
from rancast.settings import find_home

SCHEMAS = Path("docs") / "schemas"


def main() -> int:
    """Draft what the command line asks for; the exit code tells whether it went through."""
    parser = argparse.ArgumentParser(prog="make onboard", description=__doc__)
    parser.add_argument("data", type=Path, help="a file, or a folder of files of one feed")
    parser.add_argument("name", help="of the dataset: lower-case letters, digits, _")
    parser.add_argument("--use-case", help="also draft a first use case of this name")
    options = parser.parse_args()
    try:
        onboard(options.data, options.name, options.use_case or None, find_home())
    except RancastError as error:
        print(f"\nNothing was written: {error}", file=sys.stderr)
        return 1
    return 0


def onboard(data: Path, name: str, use_case: str | None, home: Path) -> None:
    """Draft below `home`, and say what was found; raises RancastError where nothing was written."""
    check_name("NAME", name)
    if use_case is not None:
        check_name("USE_CASE", use_case)
    targets = _targets(home, name, use_case)
    found = find_files(data)
    files = read_sample(found)
    print(
        f"Looking at {len(files)} of {len(found)} files (at most {MOST_FILES} files, "
        f"{MOST_BYTES / 1e6:.0f} MB, about {MOST_ROWS:,} records) ...",
        flush=True,
    )
    schemas = os.path.relpath(_find_schemas(home) or home / SCHEMAS, home / "datasets")
    drafted = draft(files, name, schemas, use_case)
    partition = ingest_sample(drafted)
    texts = [drafted.dataset_yaml, drafted.suite_json, drafted.use_case_yaml]
    if _find_schemas(home) is None:
        write_schemas(home / SCHEMAS)
    for target, text in zip(targets, [text for text in texts if text is not None], strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        print(f"Wrote {target}", flush=True)
    _tell(partition, name)


def _targets(home: Path, name: str, use_case: str | None) -> list[Path]:
    """Return the files to write; raises ConfigurationError where one is there already."""
    targets = [home / "datasets" / f"{name}.yaml", home / "expectations" / f"{name}.json"]
    targets += [home / "use_cases" / f"{use_case}.yaml"] if use_case else []
    there = [target for target in targets if target.exists()]
    if there:
        raise ConfigurationError(
            f"{' and '.join(map(str, there))} {'is' if len(there) == 1 else 'are'} there already; "
            "take another NAME or USE_CASE, or move that out of the way."
        )
    return targets


def _find_schemas(home: Path) -> Path | None:
    """Return the published schemas of the checkout that a home lies in, if it does."""
    kinds = [f"{kind}.json" for kind in KINDS]
    for folder in (home, *home.parents):
        if all((folder / SCHEMAS / kind).is_file() for kind in kinds):
            return folder / SCHEMAS
    return None


def ingest_sample(drafted: Draft) -> Partition:
    """Return the sample as the product sorts its rows by the draft, days taken together."""
    from tasks.validation import validate  # Great Expectations takes seconds to import

    pulled, dataset = drafted.pulled, drafted.dataset
    times = pulled.typed[dataset.time.column].dropna()
    first = times.min().date() if len(times) else NO_DAY
    span = (times.max() - times.min()).to_pytimedelta() if len(times) else timedelta(0)
    whole = dataset.model_copy(update={"tolerance": span + timedelta(days=1)})
    return validate(*pulled, whole, drafted.suite, first, ())


def _tell(partition: Partition, name: str) -> None:
    counts = partition.report.rows
    print(
        f"\nThe sample by this draft: {counts.raw:,} records = {counts.curated:,} curated + "
        f"{counts.quarantined:,} quarantined + {counts.duplicates:,} duplicates"
    )
    rules = partition.quarantined["rule"].value_counts()
    for rule, count in rules.head(5).items():
        print(f"  {count:,} quarantined: {rule}")
    failed = [result for result in partition.report.results if result.outcome != "passed"]
    for result in failed:
        print(f"  {result.outcome}: {result.expectation}")
    print(
        f"\nNext: read the comments in datasets/{name}.yaml and correct the guesses, then\n"
        f"  make layout DATA=... NAME={name}   # into the raw container, by UTC day\n"
        "as docs/onboarding.md goes on."
    )


if __name__ == "__main__":
    sys.exit(main())
