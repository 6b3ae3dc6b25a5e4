"""Numbers for Prometheus: small files of the lake per dataset and use case, and one of all runs.

`deployments/exporter.py` serves them together; any agent that reads text files can have them, too.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Gauge as Family
from prometheus_client.parser import text_string_to_metric_families

from rancast.errors import ObjectNotFound, WriteConflict
from rancast.gauges import Gauge, newest_day, of_ingest, of_runs, of_training
from rancast.trainings import TrainingOutcome
from rancast.windows import Ingested
from tasks.clock import now
from tasks.retrying import retried_task
from tasks.runs import present_run, recent_runs, top_flow
from tasks.storage import Store
from tasks.stores import open_lake

FOLDER = "reports/metrics"


@retried_task("record ingest")
def record_ingest(ingested: Ingested) -> None:
    """Write the numbers of an ingest, in place of those of the one before by the same flow.

    Of two that end at the same time either may be the last. The newest day only goes forward.
    """
    lake, folder, flow = open_lake(), f"{FOLDER}/ingest/{ingested.dataset}", top_flow()
    gauges = of_ingest(ingested, flow, _seconds(), now())
    lake.write(f"{folder}/{flow}.prom", exposition(gauges))
    newest = newest_day(ingested)
    if newest is not None:
        _lift(lake, f"{folder}/newest.prom", newest)


def _lift(lake: Store, name: str, gauge: Gauge) -> None:
    """Write one gauge, unless what is there is as high, whoever else writes meanwhile."""
    while True:
        known, etag = _read(lake, name)
        if known is not None and known >= gauge.value:
            return
        try:
            lake.write_if_match(name, exposition([gauge]), etag)
        except WriteConflict:
            continue


def _read(lake: Store, name: str) -> tuple[float | None, str | None]:
    """Return the value and the ETag of a file of one gauge, None and None where there is none."""
    try:
        data, etag = lake.read_tagged(name)
    except ObjectNotFound:
        return None, None
    (family,) = text_string_to_metric_families(data.decode())
    return family.samples[0].value, etag


@retried_task("record training")
def record_training(outcome: TrainingOutcome) -> None:
    """Write the numbers of a training, in place of those of the one before."""
    gauges = of_training(outcome, _seconds(), now())
    open_lake().write(f"{FOLDER}/training/{outcome.use_case}.prom", exposition(gauges))


@retried_task("record runs")
def record_runs(flows: Collection[str]) -> None:
    """Write how many runs of these flows were due in the last day, by their states."""
    until = now()
    since = until - timedelta(days=1)
    states = [(flow, run.state) for flow in flows for run in recent_runs(flow, since, until)]
    open_lake().write(f"{FOLDER}/runs.prom", exposition(of_runs(states, until)))


def exposition(gauges: Iterable[Gauge]) -> bytes:
    """Return gauges in the text format of Prometheus."""
    registry = CollectorRegistry()
    families: dict[str, Family] = {}
    for gauge in gauges:
        if gauge.name not in families:
            families[gauge.name] = Family(
                gauge.name, gauge.help, sorted(gauge.labels), registry=registry
            )
        family = families[gauge.name]
        (family.labels(**gauge.labels) if gauge.labels else family).set(gauge.value)
    return generate_latest(registry)


def _seconds() -> float:
    """Return for how long the present flow run is running, which a first start counts from."""
    this = present_run()
    if this is None or this.started is None:
        return 0.0
    return (now() - this.started).total_seconds()
