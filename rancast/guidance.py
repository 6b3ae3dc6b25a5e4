"""What to do about a failed run: where the operations page tells it, and a page for the run."""

import re

from rancast import errors
from rancast.documents import Document
from rancast.markdown import escape, link

PAGE = "operations.md"
FOLDER = "docs"
CRASHED = "crashed"
HEADLINE = 240
FOREIGN = "any-other-error"

PARAMETERS = (
    "Start a new run with other parameters, as it says: *Copy to new run* has the present ones to "
    "begin with. *Retry* would meet the same."
)

# What usually helps, by the class of the error; its own sentence says what exactly.
NEXT = {
    "ConfigurationError": "Correct the file or setting that it names, then press *Retry*. A "
    "changed file or setting must reach the worker first. A wrong name given to the run is "
    "corrected in a new run.",
    "RequestRefused": PARAMETERS,
    "DataError": "Have the data delivered or mended as it says, then press *Retry*: blobs are "
    "listed anew.",
    "PartitionRefused": "Read the validation artifact of that day. Have the file delivered again, "
    "or correct suite or dataset, then press *Retry*.",
    "EvidenceError": "There is too little to learn from or to judge by. Nothing is broken: ingest "
    "more days, or change the use case.",
    "TableRefused": "Read the audit artifact of the training. Take the columns that it names out "
    "of the use case, or accept the rule there with a reason, then press *Retry*.",
    "StorageError": "Look at the container or folder that it names; free space or correct the "
    "permission, then press *Retry*.",
    "ObjectNotFound": "Press *Retry*: what the ledger knows how to make is made again.",
    "WriteConflict": "Somebody else was faster. Press *Retry*: the decision is made against the "
    "present champion.",
    "ChampionChanged": "Look at the artifact `champions-…` of the use case, and start a new run if "
    "the change is still wanted. *Retry* would meet the same.",
    "StorageUnreachable": "See that the store answers and that its credential is valid, then "
    "press *Retry*. Nothing is computed twice.",
    "RegistryError": "See that MLflow is the one that this lake belongs to, then press *Retry*. "
    "Nothing is fitted twice.",
    "RegistryUnreachable": "See that MLflow answers, then press *Retry*. Nothing is fitted twice.",
    "ModelRefused": "Do not promote this model. Restore its artifact, or train again.",
    CRASHED: "Its process is gone: killed, out of memory, or its machine lost. Look at the "
    "worker's log and memory, then press *Retry*. What was finished is reused.",
    "ParameterTypeError": PARAMETERS,
    FOREIGN: "This is no error that rancast expects. Press *Retry* once; if it comes again, it is "
    "a fault of the program, and the log has the traceback.",
}


class Part(Document):
    """A run that a failed run consists of, and what its state says."""

    id: str
    name: str
    state: str
    message: str


class Failure(Document):
    """A failed or crashed flow run: what it is called, which error ended it, and what that said.

    `kind` is the error's class, or `CRASHED`; `parts` are the subflow runs that did not complete.
    """

    run: str
    state: str
    kind: str
    message: str
    is_part: bool = False
    parts: tuple[Part, ...] = ()


def section_of(kind: str) -> str:
    """Return the heading's anchor on the operations page for a class of errors, or `CRASHED`."""
    if kind == CRASHED:
        return CRASHED
    known = getattr(errors, kind, None)
    is_ours = isinstance(known, type) and issubclass(known, errors.RancastError)
    return kind.lower() if is_ours else FOREIGN


def address(section: str, docs_url: str) -> str:
    """Return where a section of the operations page is: an address, or a path in the checkout."""
    return f"{docs_url.rstrip('/') or FOLDER}/{PAGE}#{section}"


def with_section(text: str, error: Exception, docs_url: str) -> str:
    """Return an error's text with the place to read on; one that has it already stays as it is."""
    if f"{PAGE}#" in text:
        return text
    return f"{text} [{address(section_of(type(error).__name__), docs_url)}]"


def kind_in(message: str) -> str:
    """Return the class of the error that a failed state's message names, "" if it names none."""
    found = re.search(r"(?:exception|error):? (?:\w+\.)*(\w+):", message)
    return found[1] if found else ""


def cause(message: str) -> str:
    """Return what an error says, out of a state's message that introduces it."""
    text = re.sub(r"^[A-Z][\w ]+ (?:exception|error):? (?:\w+\.)*\w+: ", "", message)
    return re.sub(rf" \[[^\[\]]*{re.escape(PAGE)}#[\w-]+\]$", "", text)


def headline(failure: Failure) -> str:
    """Return a failure in a line, as the list of artifacts shows it."""
    kind = "" if failure.kind == CRASHED else f"{failure.kind}: "
    text = kind + cause(failure.message)
    return text if len(text) <= HEADLINE else f"{text[:HEADLINE]}…"


def what_to_do(failure: Failure, docs_url: str) -> str:
    """Return the page that a failed run gets as an artifact, as markdown."""
    place = address(section_of(failure.kind), docs_url)
    kind = "" if failure.kind == CRASHED else f"**{escape(failure.kind)}:** "
    said = cause(failure.message)
    lines = [
        f"## {escape(failure.run)}: {failure.state.lower()}",
        "",
        f"{kind}{escape(said)}",
        "",
        "### What to do",
        "",
        f"1. {NEXT.get(failure.kind, NEXT[FOREIGN])}",
        f"2. More about it: {link('the operations guide', place)}.",
    ]
    if failure.is_part:
        lines.append("3. This run is part of another. *Retry* belongs to the one on top.")
    if failure.parts:
        lines += ["", "### Parts that did not complete", ""]
        lines += [_part_line(part, said) for part in failure.parts]
    return "\n".join(lines)


def _part_line(part: Part, said: str) -> str:
    own = cause(part.message)
    more = "" if own == said else f". {escape(own)}"
    return f"- {part_link(part.name, part.id)}: {escape(part.state)}{more}"


def part_link(name: str, run_id: str) -> str:
    """Return a link from an artifact to a flow run, at the same depth in both of Prefect's UIs."""
    return f"[{escape(name)}](../../runs/flow-run/{run_id})"
