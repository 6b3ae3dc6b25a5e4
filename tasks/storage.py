"""Objects by name, in a folder or in Azure Blob Storage; the only module that imports azure."""

import contextlib
import hashlib
import os
import secrets
import stat
import unicodedata
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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
    from azure.core.credentials import TokenCredential

# FileStore keeps locks and unfinished files under this name, which no object may have
RESERVED = ".rancast-"
NAME_LIMIT = 1024
WORKERS = 16
LOCK_SECONDS = 25

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
        already counts as written: it is how a write whose reply was lost looks when repeated.
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
    """Return a prefix of names, which may be empty or end within a part or with a slash."""
    if prefix:
        check_name(prefix[:-1] if prefix.endswith("/") else prefix)
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
        except (FileNotFoundError, NotADirectoryError):
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
        try:
            with self._explained(name):
                return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectNotFound(f"there is no object {name!r} in {self.url}.") from None

    def read_many(self, names: Sequence[str]) -> Contents:
        return [self.read(name) for name in names]

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        data = self.read(name)
        return data, sha256(data)

    def exists(self, name: str) -> bool:
        return self._path(check_name(name)).is_file()

    def write(self, name: str, data: bytes) -> None:
        path = self._writable(name)
        with self._explained(name), self._lock(name), _temporary(path, data) as temporary:
            os.replace(temporary, path)

    def write_if_absent(self, name: str, data: bytes) -> bytes:
        path = self._writable(name)
        with self._explained(name), _temporary(path, data) as temporary:
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
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
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
        folder.mkdir(parents=True, exist_ok=True)
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
        """Turn the operating system's refusals into one sentence; absence is left as it is."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise
        except OSError as error:
            raise StorageError(
                f"{name!r} in {self.url}: {error.strerror}; check the free space and the "
                f"permissions of the folder that {self._setting} names."
            ) from error


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """Give a flushed file with `data` beside `path`; at the end it is gone and its folder flushed."""
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

    `timeout_s` bounds the connection and every wait for the next bytes, not a whole transfer.
    After `retries` pauses of 2, 4, ... s (1 s more or less) the request has failed: by default
    after 8 s at a closed port and 26 s at a server that accepts and says nothing.
    """

    timeout_s: float = 6.0
    retries: int = 2
    pause_base_s: int = 2


class AzureStore:
    """A container of Azure Blob Storage, or a prefix in it; every method is documented at `Store`.

    One client with its pool of connections serves all threads. Every write is one Put Blob with a
    checksum that the service verifies and keeps: nothing is visible before it is whole, and no
    two writers can mix their blocks. ETags are the service's.
    """

    def __init__(self, address: "_Address", client: "ContainerClient", *, read_only: bool) -> None:
        self._address = address
        self._client = client
        self._is_read_only = read_only

    def __repr__(self) -> str:
        return f"AzureStore({self.url})"

    @property
    def url(self) -> str:
        return self._address.url

    def list(self, prefix: str) -> Blobs:
        start = self._address.base + _check_prefix(prefix)
        with self._explained(prefix):
            # a page holds up to 5,000 names; metadata tells the folders of a Data Lake account
            listed = [
                _listed(item, self._address.base)
                for item in self._client.list_blobs(name_starts_with=start, include=["metadata"])
                if not _is_folder(item)
            ]
        return sorted(listed, key=lambda item: item.name)

    def read(self, name: str) -> bytes:
        return self._download(name, connections=4)[0]

    def read_many(self, names: Sequence[str]) -> Contents:
        connections = max(1, WORKERS // max(1, len(names)))
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="storage") as pool:
            try:
                futures = [pool.submit(self._download, name, connections) for name in names]
                wait(futures, return_when=FIRST_EXCEPTION)
                return [future.result()[0] for future in futures if _has_ended(future)]
            finally:
                pool.shutdown(cancel_futures=True)

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        return self._download(name, connections=4)

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
        try:
            if etag is None:
                return self._upload(name, data, overwrite=False)
            return self._upload(name, data, overwrite=True, etag=etag, match_condition=IF_MATCH)
        except WriteConflict:
            # a reply lost on the way makes the client repeat a write that has already been done
            with contextlib.suppress(ObjectNotFound):
                current, current_etag = self.read_tagged(name)
                if current == data:
                    return current_etag
            raise

    def delete(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound), self._explained(name):
            self._writable(name).delete_blob(delete_snapshots="include")

    def _blob(self, name: str) -> "BlobClient":
        return self._client.get_blob_client(self._address.base + check_name(name))

    def _writable(self, name: str) -> "BlobClient":
        _refuse_if(self._is_read_only, name, self._address.setting)
        return self._blob(name)

    def _upload(self, name: str, data: bytes, **conditions: Any) -> str:
        with self._explained(name):
            reply = self._writable(name).upload_blob(data, validate_content="md5", **conditions)
        return str(reply["etag"])

    def _download(self, name: str, connections: int) -> tuple[bytes, str]:
        """Return verified content and its ETag; wrong and changing content is read again."""
        blob = self._blob(name)
        for _ in range(TRIES):
            sums = _Sums()
            with self._explained(name), contextlib.suppress(WriteConflict):
                stream = blob.download_blob(
                    max_concurrency=connections,
                    decompress=False,
                    raw_request_hook=sums.ask,
                    raw_response_hook=sums.note,
                )
                data = stream.readall()
                if sums.agree(data, stream.properties.content_settings.content_md5):
                    return data, str(stream.properties.etag)
        raise StorageError(
            f"{name!r} in {self.url} came with another checksum than its content has, {TRIES} times; "
            "check the network between here and there, or write the object again."
        )

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn the client's errors into one sentence; theirs may hold signatures of requests."""
        from azure.core.exceptions import AzureError

        try:
            yield
        except (AzureError, OSError) as error:
            explained = self._address.explain(error, name)
        else:
            return
        raise explained from None


def open_store(
    url: str,
    connection_string: SecretStr | None = None,
    *,
    setting: str,
    read_only: bool = False,
) -> Store:
    """Open the store at `url`; nothing is contacted or created yet.

    `url` is `file:///FOLDER`, `https://ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX]`, or, for
    Azurite, `http://127.0.0.1:PORT/ACCOUNT/CONTAINER[/PREFIX]`. `setting` names the environment
    variable in errors. Raises ConfigurationError for a URL that cannot work.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        return FileStore(_folder(parts, setting), setting=setting, read_only=read_only)
    raise ConfigurationError(f"{setting} must be a file: or https: URL.")


def _folder(parts: urllib.parse.SplitResult, setting: str) -> Path:
    path = Path(urllib.request.url2pathname(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise ConfigurationError(
            f"{setting} is {parts.geturl()!r}; write an absolute folder as file:///var/lib/rancast."
        )
    return path
