"""From the raw container to typed frames: listing, downloading and reading one partition."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from fnmatch import fnmatch
from typing import Any


from rancast import reading
from rancast.datasets import Dataset
from rancast.documents import Document, digest, sha256
from rancast.errors import ConfigurationError, DataError, ObjectNotFound, StorageError
from rancast.manifests import PartitionManifest, parse_manifest, partition_folder
from rancast.references import RawBlob
from rancast.settings import load_settings
from rancast.steps import Made
from tasks.retrying import retried_task
from tasks.steps import Step
from tasks.storage import Store
from tasks.stores import open_lake, open_ledger, open_raw

# Files that other systems leave beside data, such as _SUCCESS or .crc
NOT_DATA = ("_*", ".*")
READ_ATTEMPTS = 3

_downloaded: ContextVar[dict[str, bytes]] = ContextVar("_downloaded", default={})


class Content(Document):
    """A raw blob by what it holds: the input of a pull, which no ETag can stand for."""

    name: str
    sha256: str


def read_contents(
    blobs: tuple[Content, ...], dataset: Dataset, day: date, pseudonym_key_id: str
) -> reading.Pulled:
    """Read the named blobs of one partition into a typed frame and what could not be read.

    Raises DataError where a blob's content is no longer the one named.
    """
    contents = {blob.name: _content(blob) for blob in blobs}
    settings = load_settings()
    if pseudonym_key_id and pseudonym_key_id != settings.pseudonym_key_id:
        raise ConfigurationError(
            f"{dataset.name} {day} was read under another RANCAST_PSEUDONYM_KEY than the present "
            "one; run the ingest of that day again, which reads it under the present key."
        )
    secret = settings.pseudonym_secret() if dataset.has_subscribers else b""
    return reading.read_partition(contents, dataset, secret)


PULL = Step(
    "pull_partition",
    read_contents,
    {
        "typed": "pulled/{dataset.name}/date={day}/{sha256}.parquet",
        "rejected": "pulled/{dataset.name}/date={day}/{sha256}.parquet",
    },
)


@retried_task("list {dataset}")
def list_raw(dataset: str, days: list[date]) -> dict[str, list[RawBlob]]:
    """List the raw blobs of each day by its exact prefix; a day without blobs is left out.

    It is never cached: an operator who replaced a bad blob and presses Retry gets the new one.
    """
    store = open_raw()
    found = {day.isoformat(): _list_day(store, dataset, day) for day in days}
    return {day: blobs for day, blobs in found.items() if blobs}


@retried_task("pull {dataset.name} {day}")
def pull_partition(
    dataset: Dataset, day: date, blobs: list[RawBlob], is_forced: bool = False
) -> Made:
    """Download one partition's blobs, unless their content is known, and read them.

    Raises StorageError where a blob is replaced again and again while it is being read.
    """
    contents, fetched = _identify(dataset.name, day, blobs)
    with _keeping(fetched):
        return PULL.make(_arguments(dataset, day, contents), is_forced=is_forced)


def pull_arguments(dataset: Dataset, day: date, blobs: list[RawBlob]) -> dict[str, Any] | None:
    """Return what a pull takes, None where its blobs' content is not known before a download."""
    known = open_ledger().pinned(_listing_name(dataset.name, day, blobs))
    return None if known is None else _arguments(dataset, day, _contents(known))


def _arguments(dataset: Dataset, day: date, contents: tuple[Content, ...]) -> dict[str, Any]:
    return {
        "blobs": contents,
        "dataset": dataset,
        "day": day,
        "pseudonym_key_id": load_settings().pseudonym_key_id if dataset.has_subscribers else "",
    }


@retried_task("find {dataset}")
def find_partitions(dataset: str, days: list[date]) -> dict[str, PartitionManifest]:
    """Read the manifests of the partitions that exist; a day without one is left out."""
    store = open_lake()
    names = {day: f"{partition_folder(dataset, day)}/manifest.json" for day in days}
    present = {day: name for day, name in names.items() if store.exists(name)}
    contents = store.read_many(list(present.values()))
    return {
        day.isoformat(): parse_manifest(data, name)
        for (day, name), data in zip(present.items(), contents, strict=True)
    }


def _list_day(store: Store, dataset: str, day: date) -> list[RawBlob]:
    blobs = store.list(f"{dataset}/year={day:%Y}/month={day:%m}/day={day:%d}/")
    return [blob for blob in blobs if not _is_not_data(blob.name)]


def _is_not_data(name: str) -> bool:
    return any(fnmatch(name.rsplit("/", 1)[-1], pattern) for pattern in NOT_DATA)


def _identify(
    dataset: str, day: date, blobs: list[RawBlob]
) -> tuple[tuple[Content, ...], dict[str, bytes]]:
    """Tell the content of listed blobs: from the ledger if this listing was read before."""
    ledger = open_ledger()
    known = ledger.pinned(_listing_name(dataset, day, blobs))
    fetched: dict[str, bytes] = {}
    if known is None:
        read, fetched = _download(dataset, day, blobs)
        known = {blob: sha256(data) for blob, data in fetched.items()}
        known = ledger.pin(_listing_name(dataset, day, read), known)
    return _contents(known), fetched


def _contents(known: dict[str, str]) -> tuple[Content, ...]:
    return tuple(Content(name=blob, sha256=known[blob]) for blob in sorted(known))


def _listing_name(dataset: str, day: date, blobs: list[RawBlob]) -> str:
    listing = digest([[blob.name, blob.size, blob.etag, blob.md5] for blob in blobs])
    return f"raw/{dataset}/{day}/{listing}"


def _download(
    dataset: str, day: date, blobs: list[RawBlob]
) -> tuple[list[RawBlob], dict[str, bytes]]:
    """Read the listed blobs, or what is there by now; return the listing that was read, too."""
    store, listed = open_raw(), blobs
    for _ in range(READ_ATTEMPTS):
        names = [blob.name for blob in listed]
        try:
            contents = store.read_many(names)
        except ObjectNotFound:  # removed since it was listed
            listed = _list_day(store, dataset, day)
            continue
        now = _list_day(store, dataset, day)
        if [(blob.name, blob.etag) for blob in now] == [(blob.name, blob.etag) for blob in listed]:
            return listed, dict(zip(names, contents, strict=True))
        listed = now
    raise StorageError(
        f"The blobs of {dataset} {day} changed {READ_ATTEMPTS} times while they were being read; "
        "run the ingest of that day again when their upload is over."
    )


@contextmanager
def _keeping(contents: dict[str, bytes]) -> Iterator[None]:
    """Spare a second download of what was just downloaded to be identified."""
    token = _downloaded.set(contents)
    try:
        yield
    finally:
        _downloaded.reset(token)


def _content(blob: Content) -> bytes:
    data = _downloaded.get().get(blob.name)
    data = open_raw().read(blob.name) if data is None else data
    if sha256(data) != blob.sha256:
        raise DataError(
            f"{blob.name} changed since it was listed; run the ingest of its day again, which "
            "reads it anew."
        )
    return data
