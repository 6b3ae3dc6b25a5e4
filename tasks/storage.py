"""Objects by name, in a folder or in Azure Blob Storage; the only module that imports azure."""

import base64
import contextlib
import hashlib
import io
import ipaddress
import logging
import os
import re
import secrets
import stat
import threading
import unicodedata
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import filelock
from pydantic import SecretStr

from rancast.documents import sha256
from rancast.errors import (
    ConfigurationError,
    ObjectNotFound,
    StorageError,
    StorageUnreachable,
    WriteConflict,
)
from rancast.references import RawBlob

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.core.pipeline.transport import RequestsTransport
    from azure.storage.blob import BlobClient, BlobProperties, ContainerClient

# FileStore keeps locks and unfinished files under this name, which no object may have
RESERVED = ".rancast-"
NAME_LIMIT = 1024
LOCK_SECONDS = 25
NOT_A_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# as many transfers at a time as the client's pool keeps connections
WORKERS = 10
# the service gives checksums of ranges up to 4 MiB only
RANGE_BYTES = 4 * 2**20
# the largest Put Blob that the service takes, see Blob Storage's scalability targets
PUT_LIMIT_BYTES = 5000 * 2**20
TRIES = 3

# a method named `list` hides the builtin from the annotations of its class
Blobs = list[RawBlob]
Contents = list[bytes]


class Store(Protocol):
    """Named objects with atomic and conditional writes; safe to share between threads.

    Names are relative to `url`, with `/` between their parts. Every method raises StorageError for
    a name that is not (see `check_name`), StorageUnreachable where nobody answers or the
    credential is refused; the writing ones raise StorageError in a store opened read only.
    """

    @property
    def url(self) -> str:
        """Where the store is, without any secret."""

    def list(self, prefix: str) -> Blobs:
        """Return the objects whose names start with `prefix`, sorted by name; [] if none do."""

    def read(self, name: str) -> bytes:
        """Return an object's content as stored, verified; raises ObjectNotFound."""

    def read_many(self, names: Sequence[str]) -> Contents:
        """Return the contents of several objects in the order of `names`, read in parallel."""

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        """Return content and the ETag that `write_if_match` takes; raises ObjectNotFound."""

    def exists(self, name: str) -> bool:
        """Tell whether there is an object of this name."""

    def write(self, name: str, data: bytes) -> None:
        """Create or replace an object; readers see the old content or the new, never a part."""

    def write_if_absent(self, name: str, data: bytes) -> bytes:
        """Create an object unless there is one, and return the content that is there now."""

    def write_if_match(self, name: str, data: bytes, etag: str | None) -> str:
        """Replace the content that `etag` stands for, and return the new ETag.

        `etag` None means that there must be no object yet. Content equal to `data` that is there
        already counts as written: it is how a write whose reply was lost looks when repeated. So
        two writers of the same bytes both succeed; content that must have one writer names it.
        Raises WriteConflict where there is any other content, or none where some was expected.
        """

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""


def check_name(name: str) -> str:
    """Return `name` if it is a plain relative name that means the same in every store.

    Raises StorageError for an empty or absolute name, empty, `.` or `..` parts, a part or name
    that ends in a dot, backslashes, control characters, lone surrogates, more than 1024
    characters, and for parts that start with `.rancast-`, which are the file store's own.
    """
    parts = name.split("/")
    is_plain = (
        0 < len(name) <= NAME_LIMIT
        and "\\" not in name
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
        and not any(not part or part.endswith(".") for part in parts)
        and not any(part.startswith(RESERVED) for part in parts)
    )
    if not is_plain:
        raise StorageError(
            f"the object name {name[:200]!r} is refused: a name has parts joined by '/', without "
            "'..', backslashes or control characters; rename the object."
        )
    return name


def _check_prefix(prefix: str) -> str:
    """Return `prefix` if a name can start with it: it may be empty, or end anywhere in a part."""
    check_name(f"{prefix}x")
    return prefix


class FileStore:
    """A folder of a local disk; every method is documented at `Store`.

    Writes go to a temporary file beside their target, which is flushed to the disk and then
    renamed. The ETag of content is its SHA-256; that of a listing is size and time of change.
    """

    def __init__(self, root: Path, *, setting: str, read_only: bool = False) -> None:
        self._root = root.resolve()
        self._setting = setting
        self._is_read_only = read_only

    def __repr__(self) -> str:
        return f"FileStore({self.url})"

    @property
    def url(self) -> str:
        return self._root.as_uri()

    def list(self, prefix: str) -> Blobs:
        folder, _, _ = _check_prefix(prefix).rpartition("/")
        if self._is_read_only and not self._root.is_dir():
            raise StorageUnreachable(
                f"the folder {self._root} does not exist; create it or correct {self._setting}."
            )
        with self._explained(prefix):
            found = [item for item in self._walk(folder) if item.name.startswith(prefix)]
        return sorted(found, key=lambda item: item.name)

    def _walk(self, folder: str) -> Iterator[RawBlob]:
        """Yield what lies under a folder, given by its name relative to the root."""
        path = self._path(folder) if folder else self._root
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except NOT_A_FILE:
            return
        for entry in entries:
            if entry.name.startswith(RESERVED):
                continue
            name = check_name(f"{folder}/{entry.name}" if folder else entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(name)
            else:
                yield from self._listed(name, entry)

    def _listed(self, name: str, entry: os.DirEntry[str]) -> Iterator[RawBlob]:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # deleted since the folder was read
            return
        if not stat.S_ISREG(status.st_mode):
            raise self._not_plain(name)
        yield RawBlob(
            name=name,
            size=status.st_size,
            etag=f"{status.st_size}-{status.st_mtime_ns}",
            modified=datetime.fromtimestamp(status.st_mtime, UTC),
        )

    def read(self, name: str) -> bytes:
        path = self._path(check_name(name))
        with self._explained(name), contextlib.suppress(*NOT_A_FILE):
            return path.read_bytes()
        raise ObjectNotFound(f"there is no object {name!r} in {self.url}.")

    def read_many(self, names: Sequence[str]) -> Contents:
        return [self.read(name) for name in names]

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        data = self.read(name)
        return data, sha256(data)

    def exists(self, name: str) -> bool:
        path = self._path(check_name(name))
        with self._explained(name):
            return path.is_file()

    def write(self, name: str, data: bytes) -> None:
        path = self._writable(name)
        with self._explained(name), self._lock(name), _temporary(path, data) as temporary:
            os.replace(temporary, path)

    def write_if_absent(self, name: str, data: bytes) -> bytes:
        path = self._writable(name)
        with self._explained(name), self._lock(name), _temporary(path, data) as temporary:
            # a link appears whole or not at all, and never replaces what is there
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
                return data
        return self.read(name)

    def write_if_match(self, name: str, data: bytes, etag: str | None) -> str:
        path = self._writable(name)
        with self._explained(name), self._lock(name):
            current = path.read_bytes() if path.is_file() else None
            if current == data:
                return sha256(data)
            if etag != (None if current is None else sha256(current)):
                raise _conflict(name, self.url)
            with _temporary(path, data) as temporary:
                os.replace(temporary, path) if current is not None else os.link(temporary, path)
        return sha256(data)

    def delete(self, name: str) -> None:
        path = self._writable(name)
        with self._explained(name), self._lock(name):
            with contextlib.suppress(*NOT_A_FILE):
                path.unlink()
                _flush_folder(path.parent)

    def _path(self, name: str) -> Path:
        path = self._root / name
        if os.path.realpath(path) != str(path):
            raise self._not_plain(name)
        return path

    def _writable(self, name: str) -> Path:
        _refuse_if(self._is_read_only, name, self._setting)
        return self._path(check_name(name))

    def _not_plain(self, name: str) -> StorageError:
        return StorageError(
            f"{name!r} in {self.url} is a link or not a plain file; "
            "put a copy of the file there, or remove it."
        )

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Exclude other writers of `name`, in any process of this machine."""
        folder = self._root / f"{RESERVED}locks"
        _make_folder(folder)
        # 256 lock files serve all names, so that they need no cleaning up
        path = folder / sha256(name.encode())[:2]
        try:
            with filelock.FileLock(path, timeout=LOCK_SECONDS, poll_interval=0.005):
                yield
        except filelock.Timeout:
            raise StorageError(
                f"{name!r} in {self.url} was locked by another process for {LOCK_SECONDS} s; "
                "end the process that hangs and run again."
            ) from None

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn the operating system's refusals into one sentence."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{name!r} in {self.url}: {error.strerror}; check the free space and the "
                f"permissions of the folder that {self._setting} names."
            ) from error


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """Give a flushed file of `data` beside `path`; then remove it and flush the folder."""
    _make_folder(path.parent)
    temporary = path.parent / f"{RESERVED}{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries, without which a new name may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _conflict(name: str, url: str) -> WriteConflict:
    return WriteConflict(
        f"{name!r} in {url} holds other content than expected: somebody else wrote it first; "
        "read it again and decide anew."
    )


def _refuse_if(is_read_only: bool, name: str, setting: str) -> None:
    if is_read_only:
        raise StorageError(
            f"{name!r} was not written: the store that {setting} names is read only."
        )


@dataclass(frozen=True)
class Patience:
    """How long one request may take, so that an address where nobody answers is soon an error.

    `timeout_s` bounds connecting, and each wait for the next bytes, but not a whole transfer.
    A request has failed after `retries` more tries, with pauses of 2, 4, ... s (1 s more or less)
    before them: by default after 8 s at most at a closed port, after 23 s at one that is silent.
    """

    timeout_s: float = 5.0
    retries: int = 2
    pause_base_s: int = 2


class AzureStore:
    """A container of Azure Blob Storage, or a prefix in it; every method is documented at `Store`.

    One client with its pool of connections serves all threads. Every write is one Put Blob with a
    checksum that the service verifies and keeps: nothing is visible before it is whole, and no
    two writers can mix their blocks. ETags are the service's.
    """

    def __init__(self, place: "_Place", client: "ContainerClient", *, read_only: bool) -> None:
        self._place = place
        self._client = client
        self._is_read_only = read_only

    def __repr__(self) -> str:
        return f"AzureStore({self.url})"

    @property
    def url(self) -> str:
        return self._place.url

    def list(self, prefix: str) -> Blobs:
        start = self._place.base + _check_prefix(prefix)
        with self._explained(prefix):
            # one request gives up to 5,000 names; metadata tells a Data Lake account's folders
            items = list(self._client.list_blobs(name_starts_with=start, include=["metadata"]))
        blobs = [_listed(item, self._place.base) for item in items if not _is_folder(item)]
        return sorted(blobs, key=lambda blob: blob.name)

    def read(self, name: str) -> bytes:
        return self._download(name, WORKERS)[0]

    def read_many(self, names: Sequence[str]) -> Contents:
        connections = max(1, WORKERS // max(1, len(names)))
        has_failed = threading.Event()

        def transfer(name: str) -> bytes:
            if has_failed.is_set():
                return b""  # never seen: the failure comes first in the order of names
            try:
                return self._download(name, connections)[0]
            except BaseException:
                has_failed.set()
                raise

        with ThreadPoolExecutor(WORKERS, thread_name_prefix="storage") as pool:
            return list(pool.map(transfer, names))

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        return self._download(name, WORKERS)

    def exists(self, name: str) -> bool:
        try:
            with self._explained(name):
                self._blob(name).get_blob_properties()
        except ObjectNotFound:
            return False
        return True

    def write(self, name: str, data: bytes) -> None:
        self._upload(name, data, overwrite=True)

    def write_if_absent(self, name: str, data: bytes) -> bytes:
        try:
            self._upload(name, data, overwrite=False)
        except WriteConflict:
            return self.read(name)
        return data

    def write_if_match(self, name: str, data: bytes, etag: str | None) -> str:
        from azure.core import MatchConditions

        try:
            if etag is None:
                return self._upload(name, data, overwrite=False)
            condition = MatchConditions.IfNotModified
            return self._upload(name, data, overwrite=True, etag=etag, match_condition=condition)
        except WriteConflict:
            # a reply lost on its way makes the client repeat a write that was done already
            with contextlib.suppress(ObjectNotFound):
                current, current_etag = self.read_tagged(name)
                if current == data:
                    return current_etag
            raise

    def delete(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound), self._explained(name):
            self._writable(name).delete_blob(delete_snapshots="include")

    def _blob(self, name: str) -> "BlobClient":
        return self._client.get_blob_client(self._place.base + check_name(name))

    def _writable(self, name: str) -> "BlobClient":
        _refuse_if(self._is_read_only, name, self._place.setting)
        return self._blob(name)

    def _upload(self, name: str, data: bytes, **conditions: Any) -> str:
        with self._explained(name):
            reply = self._writable(name).upload_blob(data, validate_content="md5", **conditions)
        return str(reply["etag"])

    def _download(self, name: str, connections: int) -> tuple[bytes, str]:
        """Return verified content and its ETag; content that changed or was hurt is read again."""
        blob = self._blob(name)
        for _ in range(TRIES):
            checksums = _Checksums()
            with contextlib.suppress(WriteConflict), self._explained(name):
                stream = blob.download_blob(
                    max_concurrency=connections,
                    decompress=False,
                    raw_request_hook=checksums.ask,
                    raw_response_hook=checksums.note,
                )
                data = stream.readall()
                if checksums.agree(data, stream.properties.content_settings.content_md5):
                    return data, str(stream.properties.etag)
        raise StorageError(
            f"{name!r} in {self.url} was read {TRIES} times, and what came never had the checksum "
            "of the whole; check the network on the way, or write the object again."
        )

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn the client's errors into one sentence without theirs, which can hold signatures."""
        from azure.core.exceptions import AzureError

        try:
            yield
        except (AzureError, OSError, ValueError) as error:
            raise self._place.explain(error, name) from None


class _Checksums:
    """The MD5 of each range of one download, asked of the service and held against the content.

    The client's own `validate_content` cannot be used: it takes the checksum after undoing a
    Content-Encoding, and together with `decompress=False` it loses the first range.
    """

    def __init__(self) -> None:
        self._ranges: dict[int, bytes] = {}

    def ask(self, request: Any) -> None:
        headers = request.http_request.headers
        if "x-ms-range" in headers:  # the header is refused where no range is asked for
            headers["x-ms-range-get-content-md5"] = "true"

    def note(self, response: Any) -> None:
        start = re.match(r"bytes=(\d+)-", response.http_request.headers.get("x-ms-range", ""))
        md5 = response.http_response.headers.get("Content-MD5")
        if start is not None and md5 is not None:
            self._ranges[int(start[1])] = base64.b64decode(md5)

    def agree(self, data: bytes, stored: bytes | bytearray | None) -> bool:
        """Tell whether every range, and the whole where its MD5 is `stored`, is as was sent."""
        view = memoryview(data)
        whole = stored is None or _md5(view) == stored
        starts = range(0, len(data), RANGE_BYTES)
        return whole and all(
            _md5(view[start : start + RANGE_BYTES]) == self._ranges.get(start) for start in starts
        )


def _md5(data: memoryview) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _is_folder(item: "BlobProperties") -> bool:
    """Tell a Data Lake account's folder, or a tool's placeholder for one, from an object."""
    metadata = {key.lower(): value for key, value in (item.metadata or {}).items()}
    return metadata.get("hdi_isfolder") == "true" or (item.size == 0 and item.name.endswith("/"))


def _listed(item: "BlobProperties", base: str) -> RawBlob:
    md5 = item.content_settings.content_md5
    return RawBlob(
        name=check_name(item.name.removeprefix(base)),
        size=item.size,
        etag=item.etag,
        md5=None if md5 is None else bytes(md5).hex(),
        modified=item.last_modified,
    )


class _Place(NamedTuple):
    """Where a URL points: `base` is the prefix with its slash, `account` None if unknown."""

    setting: str
    endpoint: str
    account: str | None
    container: str
    base: str

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{self.container}/{self.base}".rstrip("/")

    @property
    def is_encrypted(self) -> bool:
        return self.endpoint.startswith("https:")

    @property
    def credential_setting(self) -> str:
        own = self.setting.removesuffix("_URL") + "_CONNECTION_STRING"
        return f"{own} (or AZURE_STORAGE_CONNECTION_STRING)"

    def explain(self, error: Exception, name: str) -> StorageError:
        """Say what an error of the client means, by its code only: its text may hold secrets."""
        from azure.core.exceptions import HttpResponseError

        status = error.status_code if isinstance(error, HttpResponseError) else None
        code = getattr(error, "error_code", None)
        code = str(getattr(code, "value", code))
        if code == "BlobNotFound":
            return ObjectNotFound(f"there is no object {name!r} in {self.url}.")
        if code in ("BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"):
            return _conflict(name, self.url)
        if code == "ContainerNotFound":
            return StorageError(
                f"{self.endpoint} has no container {self.container!r}; create it or correct "
                f"{self.setting}."
            )
        if status in (401, 403):
            return self.refused(code)
        if status == 200 or isinstance(error, ValueError):
            return StorageUnreachable(
                f"what answers at {self.url} is not Blob Storage ({type(error).__name__}); "
                f"correct {self.setting}."
            )
        if status is None:
            return StorageUnreachable(
                f"nobody answers at {self.url} ({type(error).__name__}); "
                f"check the network, and the address in {self.setting}."
            )
        return StorageError(
            f"{name!r} in {self.url}: the service answered {status} {code}; run again, and see "
            "Blob Storage's list of error codes if it stays."
        )

    def refused(self, reason: str) -> StorageUnreachable:
        """Say that the credential was refused."""
        return StorageUnreachable(
            f"the credential for {self.url} was refused ({reason}); check "
            f"{self.credential_setting}, or the identity and its role on the container."
        )

    def no_credential(self, error: Exception) -> StorageUnreachable:
        """Say that no credential was found."""
        return StorageUnreachable(
            f"there is no credential for {self.url} ({type(error).__name__}); set "
            f"{self.credential_setting}, or sign in to an identity that azure-identity finds."
        )


class _Credential:
    """Tokens of a credential, by default azure-identity's, which is made when one is needed.

    A failure leaves as our own error, which the client does not repeat as it does its own.
    """

    def __init__(self, place: _Place, source: "TokenCredential | None") -> None:
        self._place = place
        self._source = source

    def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        from azure.core.exceptions import AzureError

        try:
            if self._source is None:
                from azure.identity import DefaultAzureCredential

                # its warning is a page that says what our error says in a line
                logging.getLogger("azure.identity").setLevel(logging.ERROR)
                self._source = DefaultAzureCredential()
            return self._source.get_token(*scopes, **options)
        except (AzureError, ValueError) as error:
            code = re.search(r"AADSTS\d+", str(error))
            failure = self._place.refused(code[0]) if code else self._place.no_credential(error)
        raise failure from None


def _transport(place: _Place, patience: Patience) -> "RequestsTransport":
    """Return one pool of connections, whose timeout bounds each piece sent, not the whole body."""
    from azure.core.pipeline.transport import RequestsTransport

    # azure-core exports the class in a way that type checkers cannot follow
    class PiecewiseTransport(RequestsTransport):  # type: ignore[misc]
        def send(self, request: Any, **options: Any) -> Any:
            data = request.data
            if isinstance(data, bytes) and data:
                request.data = io.BytesIO(data)
            try:
                return super().send(request, **options)
            finally:
                request.data = data

    return PiecewiseTransport(
        connection_timeout=patience.timeout_s,
        read_timeout=patience.timeout_s,
        # a proxy of the environment is no way to Azurite on this machine
        use_env_settings=place.is_encrypted,
    )


def open_store(
    url: str,
    connection_string: SecretStr | None = None,
    *,
    setting: str,
    read_only: bool = False,
    credential: "TokenCredential | None" = None,
    patience: Patience = Patience(),
) -> Store:
    """Open the store at `url`; nothing is contacted or created yet.

    `url` is `file:///FOLDER`, `https://ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX]`, or, for
    Azurite, `http://127.0.0.1:PORT/ACCOUNT/CONTAINER[/PREFIX]`. `setting` names the environment
    variable in errors. An Azure URL without a connection string is opened with `credential`, by
    default azure-identity's DefaultAzureCredential. Raises ConfigurationError for a URL that
    cannot work, and for a connection string of another account or endpoint.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        return FileStore(_folder(parts, setting), setting=setting, read_only=read_only)
    place = _place(parts, setting)
    client = _client(place, connection_string, credential, patience)
    return AzureStore(place, client, read_only=read_only)


class Container(NamedTuple):
    """Where an Azure URL leads: the account's endpoint, the container, and a prefix or ""."""

    endpoint: str
    name: str
    prefix: str


def locate_container(
    url: str, connection_string: SecretStr | None = None, *, setting: str
) -> Container:
    """Return where an Azure URL leads, for libraries that open it by themselves.

    Raises ConfigurationError as `open_store` does, for a connection string of another account too.
    """
    place = _place(urllib.parse.urlsplit(url), setting)
    if connection_string is not None:
        _client(place, connection_string, None, Patience()).close()
    return Container(place.endpoint, place.container, place.base.rstrip("/"))


def make_container(url: str, connection_string: SecretStr, *, setting: str) -> bool:
    """Create the container of an Azure URL; tell whether it was not there before.

    Raises ConfigurationError as `open_store` does, and StorageError where the account refuses.
    """
    from azure.core.exceptions import AzureError, ResourceExistsError

    place = _place(urllib.parse.urlsplit(url), setting)
    with _client(place, connection_string, None, Patience()) as client:
        try:
            client.create_container()
        except ResourceExistsError:
            return False
        except (AzureError, OSError, ValueError) as error:
            raise place.explain(error, place.container) from None
    return True


def _folder(parts: urllib.parse.SplitResult, setting: str) -> Path:
    path = Path(urllib.request.url2pathname(parts.path))
    is_plain = parts.netloc in ("", "localhost") and not parts.query and not parts.fragment
    if not is_plain or not path.is_absolute():
        raise ConfigurationError(
            f"{setting} is {parts.geturl()!r}; write an absolute folder as file:///var/lib/rancast."
        )
    return path


def _place(parts: urllib.parse.SplitResult, setting: str) -> _Place:
    """Read an Azure URL; a host that is an address or has no dot takes its account in the path."""
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(
            f"{setting} starts with {parts.scheme!r}; write file:///FOLDER or "
            "https://ACCOUNT.blob.core.windows.net/CONTAINER."
        )
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(
            f"{setting} (at {host}) holds a query, a fragment or a password; "
            "keep secrets in the connection string, and the URL plain."
        )
    folders = [urllib.parse.unquote(part) for part in parts.path.strip("/").split("/")]
    is_in_path = "." not in host or _is_address(host)
    if parts.scheme == "http" and not is_in_path:
        raise ConfigurationError(f"{setting} would send data to {host} in the clear; write https.")
    account = folders.pop(0) if is_in_path else host.split(".")[0] if ".blob." in host else None
    if not folders or re.fullmatch(r"[a-z0-9](-?[a-z0-9]){2,62}", folders[0]) is None:
        raise ConfigurationError(
            f"{setting} (at {host}) names no container: write its name, of 3 to 63 lower-case "
            "letters, digits and single hyphens, after the account."
        )
    endpoint = f"{parts.scheme}://{parts.netloc.lower()}" + (f"/{account}" if is_in_path else "")
    prefix = "/".join(folders[1:])
    try:
        _check_prefix(f"{prefix}/" if prefix else "")
    except StorageError as error:
        raise ConfigurationError(
            f"{setting} (at {host}) has a prefix that cannot be: {error}"
        ) from None
    return _Place(setting, endpoint, account, folders[0], prefix and f"{prefix}/")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _client(
    place: _Place,
    connection_string: SecretStr | None,
    credential: "TokenCredential | None",
    patience: Patience,
) -> "ContainerClient":
    from azure.storage.blob import ContainerClient, ExponentialRetry

    options: dict[str, Any] = {
        "transport": _transport(place, patience),
        "retry_policy": ExponentialRetry(
            initial_backoff=0,
            increment_base=patience.pause_base_s,
            retry_total=patience.retries,
            random_jitter_range=1,
        ),
        "max_single_get_size": RANGE_BYTES,
        "max_chunk_get_size": RANGE_BYTES,
        "max_single_put_size": PUT_LIMIT_BYTES,
    }
    if connection_string is not None:
        return _keyed_client(place, connection_string, options)
    if not place.is_encrypted:
        raise ConfigurationError(
            f"{place.setting} is {place.url}, where a token may not go without https; "
            f"set {place.credential_setting}."
        )
    tokens = _Credential(place, credential)
    return ContainerClient(place.endpoint, place.container, credential=tokens, **options)


def _keyed_client(
    place: _Place, connection_string: SecretStr, options: dict[str, Any]
) -> "ContainerClient":
    """Return a client of a connection string that was written for this very place."""
    from azure.storage.blob import ContainerClient

    text = connection_string.get_secret_value()
    try:
        client = ContainerClient.from_connection_string(text, place.container, **options)
        for key in re.findall(r"(?i)AccountKey=([^;]*)", text):
            base64.b64decode(key)
    except ValueError:  # its text may repeat a part of the key
        client = None
    if client is None:
        raise ConfigurationError(
            f"{place.credential_setting} is not a connection string; copy the storage account's "
            "whole line, from its first name to its last semicolon."
        )
    parts = urllib.parse.urlsplit(client.primary_endpoint)
    endpoint = f"{parts.scheme}://{parts.netloc}{parts.path}".removesuffix(f"/{place.container}")
    account = client.account_name
    if endpoint != place.endpoint or account not in (None, place.account or account):
        raise ConfigurationError(
            f"{place.credential_setting} is for the account {account!r} at {endpoint}, but "
            f"{place.setting} is {place.url}; set the two of one account."
        )
    return client
