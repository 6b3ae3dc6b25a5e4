"""What a failed run tells its operator: the cause, the next action, and where to read on."""

import pytest

from rancast import errors
from rancast.guidance import (
    CRASHED,
    FOREIGN,
    NEXT,
    Failure,
    Part,
    address,
    cause,
    headline,
    kind_in,
    section_of,
    what_to_do,
    with_section,
)

OURS = [
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.RancastError) and name != "RancastError"
]
SAID = "Nobody answered at https://lake.example/lake; see that it runs."
MESSAGE = (
    f"Flow run encountered an exception: StorageUnreachable: {SAID} "
    "[docs/operations.md#storageunreachable]"
)
PART = Part(id="0190", name="training 2024-03-05 · tiny", state="Failed", message=MESSAGE)


@pytest.mark.parametrize("kind", OURS)
def test_every_error_has_its_next_action_and_its_section(kind: str) -> None:
    """No class of errors leaves its reader alone."""
    assert kind in NEXT
    assert section_of(kind) == kind.lower()


def test_other_errors_have_a_section_of_their_own() -> None:
    """What is not ours, or only looks like ours, is told as such."""
    assert section_of("KeyError") == section_of("annotations") == section_of("") == FOREIGN


@pytest.mark.parametrize(
    ("docs_url", "shown"),
    [
        ("", "docs/operations.md#crashed"),
        ("https://wiki.example/rancast/", "https://wiki.example/rancast/operations.md#crashed"),
    ],
)
def test_the_operations_page_is_where_the_setting_says(docs_url: str, shown: str) -> None:
    """Without a setting the place is a path of the checkout."""
    assert address(CRASHED, docs_url) == shown


def test_an_error_gets_its_place_once() -> None:
    """An error that passes through task, flow and parent flow names its section one time."""
    error = errors.RegistryError("gone.")
    once = with_section("gone.", error, "")
    assert once == "gone. [docs/operations.md#registryerror]"
    assert with_section(once, error, "") == once


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (MESSAGE, "StorageUnreachable"),
        ("Task run encountered an exception ValueError: x", "ValueError"),
        ("Flow run encountered an exception: rancast.errors.DataError: x", "DataError"),
        ("Validation of parameters failed with error: ParameterTypeError: x", "ParameterTypeError"),
        ("Process exited with status code: -9", ""),
    ],
)
def test_the_class_is_read_off_the_message(message: str, kind: str) -> None:
    """A state that came from another process has no exception any more, but its message."""
    assert kind_in(message) == kind


def test_the_page_says_cause_next_action_and_place() -> None:
    """The operator reads the sentence without Prefect's frame, and what usually helps."""
    failure = Failure(
        run="daily 2024-03-05 · tiny",
        state="Failed",
        kind="StorageUnreachable",
        message=MESSAGE,
        parts=(PART, PART.model_copy(update={"name": "other", "message": "Killed <b>."})),
    )
    page = what_to_do(failure, "https://wiki.example/docs")
    assert f"**StorageUnreachable:** {SAID}\n" in page
    assert "press *Retry*" in page
    assert "(https://wiki.example/docs/operations.md#storageunreachable)" in page
    assert "[training 2024-03-05 · tiny](../../runs/flow-run/0190): Failed\n" in page
    assert page.endswith("Failed. Killed &lt;b>.")
    assert headline(failure) == f"StorageUnreachable: {SAID}"


@pytest.mark.parametrize("kind", ["RequestRefused", "ChampionChanged", "ParameterTypeError"])
def test_what_a_retry_would_meet_again_takes_a_new_run(kind: str) -> None:
    """A run keeps its parameters and the time it was asked for, so *Retry* is not what helps."""
    page = what_to_do(Failure(run="r", state="Failed", kind=kind, message="said"), "")
    assert "tart a new run" in page and "*Retry* would meet the same" in page
    assert "press *Retry*" not in page.lower()


def test_a_part_of_a_run_is_retried_with_the_whole() -> None:
    """The button of a subflow's run does nothing, so its page says where the right one is."""
    failure = Failure(run="r", state="Crashed", kind=CRASHED, message="killed", is_part=True)
    page = what_to_do(failure, "")
    assert "belongs to the one on top" in page
    assert "`docs/operations.md#crashed`" in page and "**crashed**" not in page


def test_a_long_cause_is_cut_in_the_list_and_whole_on_the_page() -> None:
    """Lists show a line; the page has everything."""
    failure = Failure(run="r", state="Failed", kind="DataError", message="x" * 1000)
    assert len(headline(failure)) < 300 and "x" * 1000 in what_to_do(failure, "")


def test_the_cause_is_what_the_error_said() -> None:
    """Prefect's introduction and our own reference are left out of it."""
    assert cause(MESSAGE) == SAID
    assert cause("Process exited with status code: -9") == "Process exited with status code: -9"
