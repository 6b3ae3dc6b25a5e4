"""Great Expectations: does the suite hold for this frame? Nothing else imports it."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pandas as pd

from rancast.datasets import Dataset
from rancast.expectations import Expectation, Suite, Verdict
from rancast.partitions import Partition, curate
from rancast.reading import Inventory, Pulled
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


def judge(frame: pd.DataFrame, suite: Suite, is_private: bool) -> dict[str, Verdict]:
    """Return Great Expectations' verdict on each expectation of the suite, by expectation id.

    One run in a fresh ephemeral context, one at a time in this process. Where `is_private`, what
    was observed is left out unless it is a count, and an exception is told by its type alone.
    An expectation that GX lost on the way could not be evaluated.
    """
    found = {result["expectation_config"]["id"]: result for result in _run(as_judged(frame), suite)}
    return {item.id: _verdict(item, found.get(item.id), is_private) for item in suite.expectations}


def _run(frame: pd.DataFrame, suite: Suite) -> list[dict[str, Any]]:
    """Return GX's results as plain JSON values, in GX's own order."""
    with _ONE_AT_A_TIME:
        import great_expectations as gx  # 2 to 11 s, so only where it is used

        with _quiet():
            context = gx.get_context(mode="ephemeral")
            context.variables.progress_bars = {"globally": False, "metric_calculations": False}
            try:
                asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("partition")
                whole = asset.add_batch_definition_whole_dataframe("whole")
                batch = whole.get_batch({"dataframe": frame})
                expectations = [_configuration(item) for item in suite.expectations]
                # GX leaves out, with a log line, an expectation that it cannot construct
                gx_suite = gx.ExpectationSuite(name=suite.name, expectations=expectations)
                found = batch.validate(gx_suite, result_format=_COUNTS_ONLY)
                return [result.to_json_dict() for result in found.results]
            finally:
                # the process-wide project would keep the frame in memory until the next one
                gx.get_context(mode="ephemeral")


def _configuration(expectation: Expectation) -> dict[str, Any]:
    keys = {"type", "kwargs", "severity", "id"}
    return expectation.model_dump(mode="json", include=keys) | {"meta": {}}


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
        reason = "Great Expectations cannot construct it from these arguments"
        return Verdict(outcome="could_not_evaluate", reason=reason)
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
    lines = str(raised.get("exception_traceback") or "").strip().splitlines()
    kind = re.match(r"[\w.]+", lines[-1]) if lines else None
    name = kind[0].rsplit(".", 1)[-1] if kind else "an exception"
    if is_private:
        # a message such as "could not convert string to float: ..." quotes the cell
        return f"{name} in Great Expectations"
    message = " ".join(str(raised.get("exception_message") or "").split())
    return f"{name}: {message}"[:_OBSERVED_LIMIT]


def _observed(expectation: Expectation, value: Any, is_private: bool) -> str:
    if value is None:
        return ""
    if is_private and not _IMPERSONAL.search(expectation.type):
        return "withheld, since the dataset has subscribers"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _OBSERVED_LIMIT else f"{text[:_OBSERVED_LIMIT]}…"
