"""make demo: simulate an operator's raw files, run the main job on them, say what came out."""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from deployments.local import (
    StackError,
    deploy,
    empty_folder,
    environment,
    prefect_server,
    refuse_configured,
)
from rancast.errors import ConfigurationError, RancastError
from rancast.settings import Settings, load_settings
from rancast.simulation import DATASETS, Scale, raw_files
from rancast.summaries import (
    alerts_sentence,
    decision_word,
    leaderboard_rows,
    quarantine_reasons,
)
from rancast.trainings import TrainingOutcome
from rancast.use_cases import known_use_cases, load_use_case
from rancast.windows import Ingested

if TYPE_CHECKING:
    from flows.daily import Night

# rules that get a line of their own; the others share one
MOST_RULES = 6


def main() -> int:
    """Run the demo; the exit code tells whether it went through."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--days", type=int, default=120, help="121 adds a day to a demo of 120")
    parser.add_argument("--use-cases", nargs="*", help="which to train; by default every one")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        settings = load_settings()
        refuse_configured(settings)
        scale = Scale(cells=options.cells, days=options.days)
        as_of = scale.start + timedelta(days=scale.days)
        use_cases = options.use_cases or known_use_cases(settings.home)
        datasets = simulated(settings, use_cases)
        say("1. Starting an embedded Prefect server (up to half a minute on a first start) ...")
        with ThreadPoolExecutor(1) as meanwhile:
            writing = meanwhile.submit(write_raw, settings, scale, datasets)
            with prefect_server(settings) as api_url:
                written, total = writing.result()
                say(f"2. Raw files: {total} simulated, {written} of them new, below {settings.raw}")
                night = run_daily(settings, api_url, use_cases, as_of, started)
    except RancastError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    for ingested in night.ingested:
        tell_ingest(ingested, settings)
    for outcome in night.trained:
        tell_training(outcome, settings)
    say(f"\nDone in {time.monotonic() - started:.0f} s. Look at all of it: make ui")
    return 0


def say(text: str) -> None:
    """Print a line now, also into a pipe."""
    print(text, flush=True)


def simulated(settings: Settings, use_cases: list[str]) -> list[str]:
    """Return the datasets that the use cases need, sorted.

    Raises ConfigurationError for an unknown use case, and for a dataset that is not simulated.
    """
    needed = {name for case in use_cases for name in load_use_case(settings.home, case).datasets}
    if not needed <= set(DATASETS):
        raise ConfigurationError(
            f"{', '.join(sorted(needed - set(DATASETS)))} is not simulated, only "
            f"{', '.join(DATASETS)}; name the use cases of these: make demo USE_CASES=..."
        )
    return sorted(needed)


def write_raw(settings: Settings, scale: Scale, datasets: list[str]) -> tuple[int, int]:
    """Write the simulated files that are not there yet; return how many, and of how many."""
    root = Path(url2pathname(urlsplit(settings.raw).path))
    written = total = 0
    for name, data in raw_files(scale, datasets):
        path = root / name
        total += 1
        if path.exists() and path.read_bytes() == data:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written += 1
    return written, total


def run_daily(
    settings: Settings, api_url: str, use_cases: list[str], as_of: date, started: float
) -> "Night":
    """Run the main job as a run of its deployment, which the UI can retry; return its result.

    It runs in a process of its own, started as a worker would, and its log is counted here.
    Raises StackError where it failed, with the end of its log.
    """
    os.environ.update(environment(settings, api_url))
    from prefect.client.orchestration import get_client

    from flows.daily import Night

    say(f"3. Running daily for {', '.join(use_cases)}, as of {as_of}:")
    ids = deploy()
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(
            ids["daily"], parameters={"use_cases": use_cases, "as_of": as_of.isoformat()}
        )
        tail = follow(
            [sys.executable, "-m", "prefect", "flow-run", "execute", str(run.id)], started
        )
        state = client.read_flow_run(run.id).state
        if state is None or not state.is_completed():
            raise StackError(f"daily did not complete ({state}); its log ends with\n{tail}")
        return Night.model_validate(state.result())


def follow(command: list[str], started: float) -> str:
    """Run a flow run's process, print a line now and then as its tasks finish; return its end."""
    counts: Counter[str] = Counter()
    tail: deque[str] = deque(maxlen=25)
    with subprocess.Popen(
        command,
        cwd=empty_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            finished = re.search(r"Task run '([\w-]+).*' - Finished in state", line)
            if finished is None:
                continue
            name = finished[1]
            counts[name] += 1
            if counts[name] == 1 or counts[name] % 10 == 0:
                elapsed = time.monotonic() - started
                say(f"   {elapsed:4.0f} s  {name:<20}{counts[name]:>4} done")
    return "\n".join(tail)


def tell_ingest(ingested: Ingested, settings: Settings) -> None:
    """Print rows in, curated, quarantined and why."""
    rows = [partition.rows for partition in ingested.partitions]
    raw, curated = sum(row.raw for row in rows), sum(row.curated for row in rows)
    quarantined = sum(row.quarantined for row in rows)
    duplicates = sum(row.duplicates for row in rows)
    refused = sum(partition.is_refused for partition in ingested.partitions)
    say(
        f"\n{ingested.dataset}: {len(rows)} days ({ingested.computed} computed now, "
        f"{len(ingested.missing)} without a file, {refused} refused)"
    )
    say(
        f"  {raw:,} rows in = {curated:,} curated + {quarantined:,} quarantined + "
        f"{duplicates:,} duplicates"
    )
    for reason in rule_lines(quarantine_reasons(ingested)):
        say(reason)
    say(f"  files: {settings.lake}/curated/{ingested.dataset}/ and .../quarantine/, each day with")
    say("  its manifest.json; reports/validation/ holds a page for each day")


def rule_lines(reasons: list[tuple[str, int]]) -> list[str]:
    """Return a line for each of the rules that set most rows aside, and one for all others."""
    rest = [count for _, count in reasons[MOST_RULES:]]
    more = f"by {len(rest)} more {'rule' if len(rest) == 1 else 'rules'}, in the days' manifests"
    told = [*reasons[:MOST_RULES], *([(more, sum(rest))] if rest else [])]
    return [f"    {count:>6,}  {rule}" for rule, count in told]


def tell_training(outcome: TrainingOutcome, settings: Settings) -> None:
    """Print the leaderboard, the decision with its reasons, and where everything lies."""
    table = outcome.table
    say(
        f"\n{outcome.use_case}: {table.train.rows:,} rows to train on, {table.holdout.rows:,} of "
        f"the latest days to judge by ({outcome.computed} steps computed now)"
    )
    say(f"  {'model':<26}{'kind':<11}{outcome.metric} with its 95 % interval")
    for row in leaderboard_rows(outcome):
        mark = "*" if row["model"] == outcome.best else " "
        say(f" {mark}{row['model']:<26}{row['kind']:<11}{row[outcome.metric]}")
    say("  * the best of its folds in training, and so the one that is judged")
    if alerts := alerts_sentence(outcome):
        say(f"  {alerts}")
    say(f"\n  {decision_word(outcome)}")
    for reason in outcome.reasons:
        say(f"    - {reason}")
    say(f"\n  MLflow: experiment and model {outcome.use_case}, run {outcome.run_id}, with plots")
    say(f"  at {settings.tracking}")
    say(f"  model: {settings.lake}/{outcome.model.uri}")
    if outcome.report is not None:
        say(f"  report, open it in a browser: {settings.lake}/{outcome.report.uri}")


if __name__ == "__main__":
    sys.exit(main())
