"""Great Expectations: does the suite hold for this frame? Nothing else imports it."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

import pandas as pd

from rancast.datasets import Dataset
from rancast.errors import ConfigurationError
from rancast.expectations import Expectation, Suite, Verdict
from rancast.manifests import PartitionFacts, count_by_rule
from rancast.partitions import Partition, curate
from rancast.reading import Inventory, Pulled
from rancast.reports import validation_page
from rancast.row_rules import as_judged

# GX keeps its current project in one variable of the process and caches frames by batch id: shared
# by threads, it gives wrong verdicts without an error. One validation takes well under a second.
_ONE_AT_A_TIME = threading.Lock()

# Counts, but no cells: GX's lists of unexpected values hold whatever a raw file holds.
_COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}

# What these observe tells nothing about a single subscriber, unlike a maximum or a list of values
_IMPERSONAL = re.compile(r"^expect_table_|_count_to_be_between$|_proportion_of_")
_OBSERVED_LIMIT = 200


def validate(
    typed: pd.DataFrame,
    rejected: pd.DataFrame,
    inventory: Inventory,
    dataset: Dataset,
    suite: Suite,
    day: date,
    register: tuple[str, ...],
) -> Partition:
    """Validate one partition as read, and sort its rows into curated, quarantined, duplicates.

    `typed` and `rejected` are the reader's frames, `register` the entities seen in the last days.
    Great Expectations judges the suite on all typed rows; `rancast.partitions` has the rules. A
    refused partition is a result, not an error.
    Raises ConfigurationError where the suite does not fit the dataset.
    """
    suite.check(dataset)
    verdicts = judge(typed[list(dataset.columns)], suite, dataset.has_subscribers)
    pulled = Pulled(typed, rejected, inventory)
    return curate(pulled, suite, verdicts, dataset, day, register)


class Validated(NamedTuple):
    """One validated partition as the lake keeps it: rows, a page for people, and its manifest."""

    curated: pd.DataFrame
    quarantined: pd.DataFrame
    page: str
    manifest: PartitionFacts


def validate_partition(
    typed: pd.DataFrame,
    rejected: pd.DataFrame,
    inventory: Inventory,
    dataset: Dataset,
    suite: Suite,
    day: date,
    register: tuple[str, ...],
) -> Validated:
    """Validate one partition, and describe it for its manifest and its page; see `validate`."""
    partition = validate(typed, rejected, inventory, dataset, suite, day, register)
    report = partition.report
    manifest = PartitionFacts(
        dataset=dataset.name,
        date=day,
        rows=report.rows,
        sources=inventory.sources,
        coverage=report.coverage,
        attendance=report.attendance,
        is_refused=report.is_refused,
        reasons=(report.refusal,) if report.is_refused else (),
        results=report.results,
        quarantined_by_rule=count_by_rule(partition.quarantined),
    )
    return Validated(partition.curated, partition.quarantined, validation_page(report), manifest)


def judge(frame: pd.DataFrame, suite: Suite, is_private: bool) -> dict[str, Verdict]:
    """Return Great Expectations' verdict on each expectation of the suite, by expectation id.

    One run in a fresh ephemeral context, one at a time in this process. Where `is_private`, what
    was observed is left out unless it is a count, and an exception is told by its type alone.
    Raises ConfigurationError for an expectation that GX cannot construct from its arguments.
    """
    found = {result["expectation_config"]["id"]: result for result in _run(as_judged(frame), suite)}
    return {item.id: _verdict(item, found.get(item.id), is_private) for item in suite.expectations}


def _run(frame: pd.DataFrame, suite: Suite) -> list[dict[str, Any]]:
    """Return GX's results as plain JSON values, in GX's own order."""
    with _ONE_AT_A_TIME, _quiet():
        import great_expectations as gx  # 2 to 11 s, so only where it is used

        try:
            context = _context()
            asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("partition")
            whole = asset.add_batch_definition_whole_dataframe("whole")
            batch = whole.get_batch({"dataframe": frame})
            expectations = [_constructed(item, suite.name) for item in suite.expectations]
            gx_suite = gx.ExpectationSuite(name=suite.name, expectations=expectations)
            found = batch.validate(gx_suite, result_format=_COUNTS_ONLY)
            return [result.to_json_dict() for result in found.results]
        finally:
            # the process-wide project would keep the frame in memory until the next validation
            _context()


def _context() -> Any:
    """Return a fresh context without progress bars; GX's own defaults make a temporary folder."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        progress_bars={"globally": False, "metric_calculations": False},
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _constructed(expectation: Expectation, suite: str) -> dict[str, Any]:
    """Return GX's configuration of an expectation once GX has constructed it alone.

    In a suite, GX leaves out one sort of expectation that it cannot construct and raises another
    without saying which it was.
    """
    import great_expectations as gx

    wanted = expectation.model_dump(mode="json", include={"type", "kwargs", "severity", "id"})
    try:
        is_made = bool(gx.ExpectationSuite(name=suite, expectations=[wanted]).expectations)
    except (ValueError, TypeError, gx.exceptions.GreatExpectationsError) as error:
        raise ConfigurationError(
            f"expectations/{suite}.json: Great Expectations cannot construct "
            f"'{expectation.sentence}' ({expectation.type}): {' '.join(str(error).split())}."
        ) from error
    if not is_made:
        raise ConfigurationError(
            f"expectations/{suite}.json: Great Expectations cannot construct "
            f"'{expectation.sentence}' ({expectation.type}) from {expectation.kwargs}."
        )
    return wanted


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep GX from logging: its messages repeat cells, and ours repeats its verdicts anyway."""
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _verdict(expectation: Expectation, result: dict[str, Any] | None, is_private: bool) -> Verdict:
    if result is None:
        return Verdict(outcome="could_not_evaluate", reason="Great Expectations gave no result")
    raised = _raised(result.get("exception_info"))
    if raised is not None:
        return Verdict(outcome="could_not_evaluate", reason=_told(raised, is_private))
    details = result["result"]
    return Verdict(
        outcome="passed" if result["success"] else "failed",
        observed=_observed(expectation, details.get("observed_value"), is_private),
        unexpected_rows=details.get("unexpected_count") if expectation.is_row else None,
    )


def _raised(info: Any) -> dict[str, Any] | None:
    """Return the first exception in either shape of GX's `exception_info`, or None.

    The shapes are one flat {"raised_exception": bool, ...} and a mapping of such by metric id.
    """
    if not isinstance(info, dict):
        return None
    if "raised_exception" in info:
        return info if info["raised_exception"] else None
    nested = (_raised(info[key]) for key in sorted(info))
    return next((found for found in nested if found is not None), None)


def _told(raised: dict[str, Any], is_private: bool) -> str:
    # the first exception of the traceback is the cause, the others are what GX made of it
    found = re.search(r"^(?:\w+\.)*(\w+)(?=:|$)", str(raised.get("exception_traceback")), re.M)
    kind = found[1] if found else "an exception"
    if is_private:
        # a message such as "could not convert string to float: ..." quotes the cell
        return f"{kind} in Great Expectations"
    message = " ".join(str(raised.get("exception_message") or "").split())
    return f"{kind}: {message}"[:_OBSERVED_LIMIT]


def _observed(expectation: Expectation, value: Any, is_private: bool) -> str:
    if value is None:
        return ""
    if is_private and not _IMPERSONAL.search(expectation.type):
        return "withheld, since the dataset has subscribers"
    if isinstance(value, list):
        text = ", ".join(map(str, value))
    elif isinstance(value, (int, float)):
        text = f"{value:.6g}" if isinstance(value, float) else f"{value:,}"
    else:
        text = str(value)
    return text if len(text) <= _OBSERVED_LIMIT else f"{text[:_OBSERVED_LIMIT]}…"
