"""Runs the main job again and again in forked children, killing each at another effect.

A process of its own, started by `test_kill.py`: everything is imported once, no thread runs, and
each attempt is a fork. An effect is a file put in its place (of the lake, the ledger or MLflow's
artifacts) or an MLflow call that writes; the child ends itself with SIGKILL just before its n-th.
What is replaced here is what has no effect on the lake, the ledger or the registry and costs
seconds: the plots, the models that the leakage audit compares splits by, the events by which
Prefect's pages follow a run, and the start of a second Python for the golden rows, which are
checked in this process instead.

Usage: driver.py TEMPLATE WORK FIRST STRIDE, prints one JSON line for each point;
driver.py TEMPLATE WORK copies, one for each pair of copies that ran at the same time;
driver.py TEMPLATE WORK changes, one for each point at which people's changes of the champion
were killed: a promotion by hand of version 2, and its rollback. The template gets both versions.
"""

import gc
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import prefect.events.utilities
import prefect.flow_engine

from tests.faults import tiny
from tests.flows import homes

PAIRS = 3
USE_CASE, AS_OF = "tiny", date(2024, 3, 5)
MLFLOW_WRITES = (
    "create_experiment create_run log_batch log_artifacts set_tag set_terminated delete_run "
    "create_registered_model create_model_version set_model_version_tag "
    "set_registered_model_alias delete_registered_model_alias delete_model_version"
).split()


PRELOADED = (
    "flows.daily flows.rollback great_expectations mlflow.sklearn mlflow.pyfunc "
    "mlflow.store.db.utils mlflow.store.tracking.sqlalchemy_store "
    "mlflow.store.model_registry.sqlalchemy_store "
    "mlflow.store.tracking.sqlalchemy_workspace_store alembic.command pyarrow.dataset "
    "mlflow.store.model_registry.sqlalchemy_workspace_store multiprocessing.dummy "
    "narwhals.stable.v2 prefect.task_engine prefect.concurrency.services "
    "prefect.utilities.visualization anyio._backends._asyncio "
    "rancast.baselines rancast.judging sklearn.linear_model sklearn.pipeline sklearn.compose "
    "sklearn.dummy sklearn.inspection sklearn.impute sklearn.preprocessing sklearn.tree skops.io "
    "threadpoolctl"
).split()


def preload() -> None:
    """Import what a run needs, and nothing that starts a thread."""
    for module in PRELOADED:
        import_module(module)
    from rancast.code import code_digest
    from tasks.steps import STEPS

    for step in STEPS.values():
        code_digest(step.function)
    # what MLflow works out once per process, by reading the metadata of every installed package
    import_module("mlflow.utils.requirements_utils")._init_modules_to_packages_map()
    # a child's collector need not walk, and so copy, all that was made before the fork
    gc.collect()
    gc.freeze()


def attempt(home: Path, kill_at: int | None, job: Callable[[], None]) -> int:
    """Run a job in a child that dies before its n-th effect; return its exit status."""
    return finish(start(home, kill_at, job))


def start(home: Path, kill_at: int | None, job: Callable[[], None]) -> int:
    """Fork a child that runs a job; return its process id."""
    child = os.fork()
    if child == 0:
        try:
            count = run(home, kill_at, job)
            (home / "effects").write_text(str(count))
        except BaseException as error:
            (home / "error").write_text(repr(error))
            os._exit(1)
        os._exit(0)
    return child


def finish(child: int) -> int:
    """Wait for a child; return its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(home: Path, kill_at: int | None, job: Callable[[], None]) -> int:
    """Run a job on a home; return how many effects it had."""
    os.environ["RANCAST_HOME"] = str(home)
    log = os.open(home / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    effects = Effects(kill_at)
    effects.watch()
    # joining the thread that says "still alive" every 180 s takes a second for each flow
    prefect.flow_engine._send_heartbeats = lambda engine, **given: nullcontext()
    prefect.events.utilities.should_emit_events = lambda: False
    job()
    return effects.count


def night() -> None:
    """Run the main job."""
    from flows.daily import daily

    daily([USE_CASE], AS_OF)


def two_nights() -> None:
    """Run the main job on two nights: version 1 becomes champion, version 2 is kept."""
    from flows.daily import daily

    daily([USE_CASE], AS_OF)
    daily([USE_CASE], AS_OF + timedelta(days=1))


def changes() -> None:
    """Promote version 2 by hand and roll it back, in runs whose ids a retry keeps."""
    import tasks.promotion
    from flows.promotion import promotion
    from flows.rollback import rollback

    # no run of these ids is known to Prefect, which would say when they were asked for
    tasks.promotion.present_run = lambda: None
    os.environ["PREFECT__RUNTIME__FLOW_RUN__ID"] = "00000000-0000-4000-8000-000000000001"
    promotion(USE_CASE, 2, "quieter", declared_by="Ada")
    os.environ["PREFECT__RUNTIME__FLOW_RUN__ID"] = "00000000-0000-4000-8000-000000000002"
    rollback(USE_CASE, "alarms", declared_by="Ada")


class Effects:
    """Counts effects, and dies before the one that was asked for."""

    def __init__(self, kill_at: int | None) -> None:
        self.count, self.kill_at = 0, kill_at
        self.lock = threading.Lock()

    def watch(self) -> None:
        """Stand before every call that changes the outside world."""
        from mlflow import MlflowClient

        import rancast.audit
        import rancast.models
        import rancast.training_report
        import tasks.promotion
        import tasks.tracking
        from rancast.audit_findings import Checked

        for name in ("replace", "link", "rename"):
            setattr(os, name, self._counted(getattr(os, name)))
        for name in MLFLOW_WRITES:
            setattr(MlflowClient, name, self._counted(getattr(MlflowClient, name)))
        tasks.tracking.plots.for_candidate = lambda *given: {"plot.txt": b"a plot"}
        tasks.tracking.plots.leaderboard = lambda *given: b"a plot"
        tasks.tracking.plots.coverage_by_day = lambda *given: b"a plot"
        rancast.audit.check_collapse = lambda *given: Checked((), "left out")
        rancast.training_report.page = lambda *given: "a page"

        def check(model: bytes, card: Any, golden: Any) -> None:
            rancast.models.check_golden(rancast.models.load(model, card.model_sha256), golden, card)

        tasks.promotion.verify_in_clean_process = check

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            with self.lock:
                self.count += 1
                if self.count == self.kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **named)

        return counted


def content(home: Path) -> dict[str, str]:
    """Return what a run leaves, name -> digest, without times, run ids and volatile bytes.

    Model bytes differ from dump to dump, so models count by number, and whatever names one is
    compared without its digest: the ledger's entries by what they say of other outputs.
    """
    lake = home / ".local" / "lake"
    found = {}
    for path in sorted(lake.rglob("*")):
        name = path.relative_to(lake).as_posix()
        if path.is_file() and not hidden(name):
            found[stable_name(name)] = digest_of(name, path.read_bytes())
    return found | registry(home)


def hidden(name: str) -> bool:
    """Tell whether a file is the store's own: a lock, or a temporary file of a killed writer."""
    return any(part.startswith(".") for part in name.split("/"))


def stable_name(name: str) -> str:
    """Return a name without the digest of a model, which no second run would repeat."""
    return f"{name.rsplit('/', 1)[0]}/MODEL.skops" if name.endswith(".skops") else name


def digest_of(name: str, data: bytes) -> str:
    """Digest a file's content; JSON without what differs from run to run."""
    if name.endswith(".skops"):
        return "a model"
    if name.endswith(".prom"):
        return "numbers with times in them"
    if name.endswith(".json"):
        data = json.dumps(without_volatile(json.loads(data)), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


VOLATILE = {"model", "model_sha256", "at", "run_id", "flow_run", "candidates", "etag"}


def without_volatile(value: Any) -> Any:
    """Drop keys whose values are times, MLflow's ids, or depend on a model's bytes."""
    if isinstance(value, dict):
        return {k: without_volatile(v) for k, v in value.items() if k not in VOLATILE}
    if isinstance(value, list):
        return [without_volatile(item) for item in value]
    return value


QUERIES = {
    "runs": "SELECT name, status, lifecycle_stage FROM runs WHERE lifecycle_stage = 'active'"
    " ORDER BY name",
    "params": "SELECT r.name, p.key, p.value FROM params p JOIN runs r USING (run_uuid)"
    " WHERE r.lifecycle_stage = 'active' ORDER BY 1, 2, 3",
    "metrics": "SELECT r.name, m.key, m.value, m.timestamp FROM metrics m"
    " JOIN runs r USING (run_uuid) WHERE r.lifecycle_stage = 'active' ORDER BY 1, 2, 3",
    "versions": "SELECT name, version, current_stage FROM model_versions"
    " WHERE current_stage != 'Deleted_Internal' ORDER BY 1, 2",
    "aliases": "SELECT name, alias, version FROM registered_model_aliases ORDER BY 1, 2",
    # a copy that lost the race for a version deletes its own, whose tags MLflow keeps
    "decisions": "SELECT name, version, t.key, t.value FROM model_version_tags t"
    " JOIN model_versions v USING (name, version) WHERE v.current_stage != 'Deleted_Internal'"
    " AND t.key NOT LIKE '%sha256' ORDER BY 1, 2, 3",
}


def registry(home: Path) -> dict[str, str]:
    """Return what MLflow holds: active runs, params, metrics, versions, aliases, decisions."""
    with sqlite3.connect(home / ".local" / "mlflow" / "mlflow.db") as database:
        return {
            f"mlflow {name}": json.dumps(database.execute(query).fetchall())
            for name, query in QUERIES.items()
        }


def point(
    template: Path, home: Path, kill_at: int | None, job: Callable[[], None]
) -> dict[str, Any]:
    """Kill a run at one effect, run again, and say how both went and what is there."""
    homes.copy_home(template, home)
    killed = attempt(home, kill_at, job)
    again = attempt(home, None, job) if killed == -signal.SIGKILL else killed
    error = (home / "error").read_text() if (home / "error").exists() else ""
    result = {
        "kill_at": kill_at,
        "was_killed": killed == -signal.SIGKILL,
        "status": again,
        "effects": int((home / "effects").read_text()) if not again else None,
        "error": error,
        "log": (home / "log").read_text()[-3000:] if again else "",
        "content": content(home) if not again else {},
    }
    if not again:
        shutil.rmtree(home)
    return result


def pair(template: Path, home: Path) -> dict[str, Any]:
    """Run two copies at the same time on one home, and say how both went and what is there."""
    shutil.copytree(template, home)
    children = [start(home, None, night) for _ in range(2)]
    statuses = [finish(child) for child in children]
    return {
        "statuses": statuses,
        "log": (home / "log").read_text()[-3000:],
        "content": content(home),
    }


def main() -> None:
    """Try the points FIRST, FIRST + STRIDE, ... until one passes through."""
    template, work, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    preload()
    job = changes if mode == "changes" else night
    if mode == "changes":
        tiny.write_day(template, AS_OF)
        assert attempt(template, None, two_nights) == 0, (template / "log").read_text()[-3000:]
    print(json.dumps(point(template, work / "undisturbed", None, job)), flush=True)
    if mode == "copies":
        for index in range(PAIRS):
            print(json.dumps(pair(template, work / f"pair-{index}")), flush=True)
        return
    kill_at, stride = (1, 1) if mode == "changes" else (int(mode), int(sys.argv[4]))
    while True:
        result = point(template, work / f"killed-{kill_at}", kill_at, job)
        print(json.dumps(result), flush=True)
        if not result["was_killed"] or result["status"]:
            return
        kill_at += stride


if __name__ == "__main__":
    main()
