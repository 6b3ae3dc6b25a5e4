"""The main job on the two public data sets: prints what came in, how models did, what was decided.

    python -m benchmarks.real_data [FOLDER]

It runs `daily` on the files that ../shared/data/lay_out.py lays out, by the YAML under examples/,
with embedded defaults. Markdown goes to stdout (it stands in docs/results.md), the log to stderr.
Homes are made below FOLDER, which stays for a look, or else in a folder that is removed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rancast.summaries import decision_word, leaderboard_rows, quarantine_reasons
from rancast.tables import Part
from rancast.trainings import TrainingOutcome
from rancast.windows import Ingested

if TYPE_CHECKING:
    from flows.daily import Night

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = CHECKOUT.parent / "shared" / "data"
METRICS = {"mae": "MAE", "r2": "R²", "rmse": "RMSE"}


class Job(NamedTuple):
    """One run of `daily`: the home under examples/, and what to run there."""

    home: str
    as_of: date
    use_cases: tuple[str, ...]


JOBS = {
    job.home: job
    for job in (
        # the holdout of the first are the 7 Download traces after 2020-02-13
        Job("ucc_5g", date(2020, 2, 28), ("ucc_5g_throughput", "ucc_5g_throughput_all_apps")),
        Job("cell_traffic", date(2012, 10, 14), ("cell_traffic_bytes",)),
    )
}


def main() -> None:
    """Run every job below the folder named on the command line, or below a temporary one."""
    if len(sys.argv) > 1:
        run_all(Path(sys.argv[1]).resolve())
        return
    with tempfile.TemporaryDirectory(prefix="rancast-real-data-") as folder:
        run_all(Path(folder))


def run_all(folder: Path) -> None:
    """Run every job in a home of its own and print what came out."""
    if not (DATA / "lay_out.py").is_file():
        sys.exit(f"The public data sets are not at {DATA}; put them there, with their lay_out.py.")
    for job in JOBS.values():
        home = folder / job.home
        shutil.copytree(CHECKOUT / "examples" / job.home, home, dirs_exist_ok=True)
        lay_out(DATA, home / ".local" / "raw")
        os.environ["RANCAST_HOME"] = str(home)
        from flows.daily import daily  # prefect reads its settings below the first home

        print("\n".join(markdown(daily(list(job.use_cases), job.as_of))), flush=True)


def lay_out(data: Path, raw: Path) -> None:
    """Lay the public data sets out as a raw container."""
    command = [sys.executable, str(data / "lay_out.py"), str(raw)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def markdown(night: "Night") -> Iterator[str]:
    """Yield the lines of what one run of `daily` brought."""
    for ingested in night.ingested:
        yield from _ingest_lines(ingested)
    for outcome in night.trained:
        yield from _training_lines(outcome)


def _ingest_lines(ingested: Ingested) -> Iterator[str]:
    rows = [partition.rows for partition in ingested.partitions]
    refused = sum(partition.is_refused for partition in ingested.partitions)
    raw, curated = sum(row.raw for row in rows), sum(row.curated for row in rows)
    quarantined = sum(row.quarantined for row in rows)
    duplicates = sum(row.duplicates for row in rows)
    yield f"### {ingested.dataset}"
    yield ""
    yield (
        f"{len(rows)} UTC days with files, {len(ingested.missing)} without, {refused} refused: "
        f"{raw:,} rows = {curated:,} curated + {quarantined:,} quarantined + "
        f"{duplicates:,} duplicates."
    )
    yield ""
    for rule, count in quarantine_reasons(ingested):
        yield f"- {count:,} quarantined: {rule}"
    yield ""


def _training_lines(outcome: TrainingOutcome) -> Iterator[str]:
    table = outcome.table
    yield f"#### {outcome.use_case}, as of {outcome.end}"
    yield ""
    yield f"Trained on {_part(table.train)}; judged on {_part(table.holdout)}."
    yield ""
    yield f"| model | {' | '.join(METRICS.values())} |"
    yield "|---|" + "---|" * len(METRICS)
    for row in leaderboard_rows(outcome):
        chosen = f", {row['chosen']}" if row["chosen"] else ""
        cells = [str(row[metric]) for metric in METRICS]
        yield f"| {row['model']} ({row['kind']}{chosen}) | {' | '.join(cells)} |"
    yield ""
    yield f"{decision_word(outcome)}"
    yield ""
    for reason in reasons(outcome):
        yield f"- {reason}"
    yield ""


def _part(part: Part) -> str:
    return (
        f"{part.rows:,} rows of {part.entities} entities on {part.days} days "
        f"({part.first:%Y-%m-%d} to {part.last:%Y-%m-%d})"
    )


def reasons(outcome: TrainingOutcome) -> list[str]:
    """Return why, without the gate that names a fingerprint, which is another for other code."""
    if outcome.decision is None:
        return list(outcome.reasons)
    names = {gate.sentence for gate in outcome.decision.gates if gate.name == "candidate"}
    return [reason for reason in outcome.reasons if reason not in names]


if __name__ == "__main__":
    main()
