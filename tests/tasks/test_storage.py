"""Stores: what a folder and Azure Blob Storage both promise, and what each does on faults."""

import base64
import errno
import gzip
import hashlib
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobBlock,
    ContainerClient,
    ContentSettings,
    ResourceTypes,
    generate_account_sas,
)
from pydantic import SecretStr

from rancast.errors import (
    ConfigurationError,
    ObjectNotFound,
    RancastError,
    StorageError,
    StorageUnreachable,
    WriteConflict,
)
from tasks import storage
from tasks.storage import RANGE_BYTES, WORKERS, Patience, Store, open_store
from tests.proxies import Exchange, Once, Proxy, proxy, silent_server
from tests.servers import ACCOUNT, CHECKOUT, KEY, Azurite, Servers, free_port, start_azurite

SETTING = "RANCAST_LAKE_URL"
HASTE = Patience(timeout_s=0.5, retries=1, pause_base_s=0)
LARGE = bytes(range(256)) * (9 * RANGE_BYTES // 1024) + b"end"  # two ranges and a part
ODD_NAME = "x y/ü %41?#+&='.csv"

Open = Callable[..., Store]


def keyed(endpoint: str) -> SecretStr:
    """Return the connection string of Azurite's account at another address."""
    return SecretStr(f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint}")


@pytest.fixture(params=["files", "azurite", "azurite-prefix"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Open one empty place again and again, as other processes would."""
    if request.param == "files":
        url, secret = (tmp_path / "lake").as_uri(), None
    else:
        azurite: Azurite = request.getfixturevalue("azurite")
        url, secret = azurite.container(), SecretStr(azurite.connection_string)
        url += "/some/prefix" if request.param == "azurite-prefix" else ""
    return lambda **options: open_store(url, secret, setting=SETTING, **options)


@pytest.fixture
def store(opened: Open) -> Store:
    """An empty store."""
    return opened()


class TestEveryStore:
    """The contract: each promise of `Store`, for each kind of store."""

    @pytest.mark.parametrize("data", [b"", b"\0", b"a\r\nb\n", LARGE], ids=len)
    def test_content_comes_back_byte_for_byte(self, store: Store, data: bytes) -> None:
        """What was written is what is read, empty and large content included."""
        store.write("a/b.bin", data)
        assert store.read("a/b.bin") == data
        assert store.read_tagged("a/b.bin")[0] == data
        assert [item.size for item in store.list("")] == [len(data)]

    def test_odd_names_are_kept(self, store: Store) -> None:
        """Spaces, accents and characters that mean something in URLs are plain parts of a name."""
        store.write(ODD_NAME, b"1")
        assert [item.name for item in store.list("x y/ü %")] == [ODD_NAME]
        assert store.read(ODD_NAME) == b"1"

    def test_a_listing_has_exactly_what_starts_with_the_prefix(self, store: Store) -> None:
        """A day's listing has neither the tenth day's objects nor another data set's."""
        for name in ["d/day=1/b", "d/day=1/a", "d/day=10/c", "d/day=1", "e/day=1/a", "d/day=1/s/x"]:
            store.write(name.replace("day=1", "day=01", name == "d/day=1"), b"1")
        assert [item.name for item in store.list("d/day=1/")] == [
            "d/day=1/a",
            "d/day=1/b",
            "d/day=1/s/x",
        ]
        assert [item.name for item in store.list("d/day=1")][-1] == "d/day=10/c"
        assert [item.name for item in store.list("d/")] == sorted(
            item.name for item in store.list("") if item.name.startswith("d/")
        )

    def test_names_are_sorted_as_strings(self, store: Store) -> None:
        """The order is that of the names, not that of folders."""
        names = ["a-b", "a/b", "a.b", "a0", "B"]
        for name in names:
            store.write(name, b"")
        assert [item.name for item in store.list("")] == sorted(names)

    @pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b/", "missing/day=01/"])
    def test_where_nothing_is_the_listing_is_empty(self, store: Store, prefix: str) -> None:
        """An absent folder is an empty list, not an error."""
        assert store.list(prefix) == []

    def test_a_listing_shows_that_content_changed(self, store: Store) -> None:
        """New content of the same size has another ETag, and a time of change in UTC."""
        store.write("a", b"1")
        before = store.list("a")
        assert store.list("a") == before
        store.write("a", b"2")
        after = store.list("a")
        assert after[0].etag != before[0].etag
        assert after[0].modified is not None and after[0].modified.utcoffset() == timedelta(0)

    def test_what_is_absent_is_not_found(self, store: Store) -> None:
        """Reading what is not there names it, and a name's first part is no object."""
        store.write("a/b", b"1")
        for name in ["nope", "a", "a/b/c", "a/c"]:
            with pytest.raises(ObjectNotFound, match=repr(name)):
                store.read(name)
            with pytest.raises(ObjectNotFound):
                store.read_tagged(name)
            assert not store.exists(name)
        assert store.exists("a/b")

    def test_many_are_read_in_the_order_asked_for(self, store: Store) -> None:
        """Contents come in the order of the names, repeated names included."""
        for number in range(25):
            store.write(f"n/{number}", str(number).encode())
        numbers = [*range(24, -1, -1), 3, 3]
        assert store.read_many([f"n/{n}" for n in numbers]) == [str(n).encode() for n in numbers]
        assert store.read_many([]) == []

    def test_one_missing_of_many_is_an_error(self, store: Store) -> None:
        """Nothing is left out silently."""
        store.write("a", b"1")
        with pytest.raises(ObjectNotFound, match="'nope'"):
            store.read_many(["a", "nope", "a"])

    def test_a_write_replaces(self, store: Store) -> None:
        """The last write is what is read; longer content leaves nothing behind."""
        store.write("a", b"longer")
        store.write("a", b"2")
        assert store.read("a") == b"2"

    def test_what_was_deleted_is_gone_and_can_come_back(self, store: Store) -> None:
        """Deleting twice is no error, and a deleted name can be created again."""
        store.write("a/b", b"1")
        store.delete("a/b")
        store.delete("a/b")
        store.delete("never/was")
        assert store.list("") == [] and not store.exists("a/b")
        assert store.write_if_absent("a/b", b"2") == b"2"

    def test_the_first_write_of_a_name_stays(self, store: Store) -> None:
        """Who comes second gets the first content, and changes nothing."""
        assert store.write_if_absent("a/b", b"first") == b"first"
        assert store.write_if_absent("a/b", b"second") == b"first"
        assert store.read("a/b") == b"first"

    def test_a_conditional_write_replaces_what_it_expects(self, store: Store) -> None:
        """Each write's ETag is good for the next one, and equals the one that is read."""
        etag = store.write_if_match("p", b"1", None)
        assert store.read_tagged("p") == (b"1", etag)
        etag = store.write_if_match("p", b"2", etag)
        assert store.read_tagged("p") == (b"2", etag)

    def test_a_conditional_write_loses_to_another(self, store: Store) -> None:
        """Neither a stale ETag, nor 'absent', nor an ETag of what is gone lets a write through."""
        stale = store.write_if_match("p", b"1", None)
        store.write("p", b"other")
        for etag in (stale, None):
            with pytest.raises(WriteConflict, match="'p'.*read it again"):
                store.write_if_match("p", b"2", etag)
        assert store.read("p") == b"other"
        store.delete("p")
        with pytest.raises(WriteConflict):
            store.write_if_match("p", b"2", stale)
        assert not store.exists("p")

    def test_a_conditional_write_repeated_is_done(self, store: Store) -> None:
        """A process that died before it heard of its own write may simply repeat it."""
        first = store.write_if_match("p", b"1", None)
        assert store.write_if_match("p", b"1", None) == first
        second = store.write_if_match("p", b"2", first)
        assert store.write_if_match("p", b"2", first) == second

    def test_one_of_sixteen_creates(self, store: Store) -> None:
        """Sixteen writers at once agree on one content, which is what is stored."""
        contents = [bytes([65 + n]) * 5000 for n in range(16)]
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda data: store.write_if_absent("x/y", data), contents))
        assert set(found) == {store.read("x/y")} and found[0] in contents

    @pytest.mark.parametrize("is_new", [True, False])
    def test_one_of_sixteen_replaces(self, store: Store, is_new: bool) -> None:
        """Of sixteen writers that expect the same, one wins and fifteen learn that they lost."""
        etag = None if is_new else store.write_if_match("p", b"0", None)

        def attempt(number: int) -> bytes | None:
            data = f"writer {number}".encode()
            try:
                store.write_if_match("p", data, etag)
            except WriteConflict:
                return None
            return data

        with ThreadPoolExecutor(16) as pool:
            won = [data for data in pool.map(attempt, range(16)) if data is not None]
        assert won == [store.read("p")]

    def test_creating_and_expecting_nothing_exclude_each_other(self, store: Store) -> None:
        """Of eight writers of each kind at once one wins, and the others learn of it."""

        def attempt(number: int) -> bool:
            data = f"writer {number}".encode()
            try:
                if number % 2:
                    return store.write_if_absent("p", data) == data
                return bool(store.write_if_match("p", data, None))
            except WriteConflict:
                return False

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(attempt, range(16))) == 1

    def test_no_increment_is_lost(self, store: Store) -> None:
        """Eight threads that count up by compare-and-set reach the sum."""
        store.write("n", b"0 from the start")

        def count_up(number: int) -> None:
            while True:
                data, etag = store.read_tagged("n")
                try:
                    # who counted is part of the content, since equal content counts as one's own
                    following = f"{int(data.split()[0]) + 1} by {number}"
                    store.write_if_match("n", following.encode(), etag)
                    return
                except WriteConflict:
                    continue

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count_up, range(16)))
        assert store.read("n").startswith(b"16 by ")

    def test_no_reader_sees_half_a_write(self, store: Store) -> None:
        """While content is replaced again and again, each reader gets one of the two wholes."""
        wholes = [b"a" * 700_000, b"b" * 900_000]
        store.write("x", wholes[0])

        def use(number: int) -> bytes | None:
            return store.write("x", wholes[number % 2]) if number % 4 == 0 else store.read("x")

        with ThreadPoolExecutor(8) as pool:
            seen = {data for data in pool.map(use, range(60)) if data is not None}
        assert seen <= set(wholes)

    @pytest.mark.parametrize(
        "name",
        ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/./b", ".", "a\\b", "a/..\\b"]
        + ["a\nb", "a\0b", "a\x7fb", "a.", "a./b", "\ud800", "x" * 1025, ".rancast-locks/00"],
    )
    def test_no_name_leads_elsewhere(self, store: Store, name: str) -> None:
        """A name that could mean something else in one of the stores is refused by every method."""
        for call in (
            lambda: store.read(name),
            lambda: store.read_many([name]),
            lambda: store.read_tagged(name),
            lambda: store.exists(name),
            lambda: store.write(name, b"1"),
            lambda: store.write_if_absent(name, b"1"),
            lambda: store.write_if_match(name, b"1", None),
            lambda: store.delete(name),
        ):
            with pytest.raises(StorageError, match="the object name .* is refused"):
                call()

    @pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a\\", "a//"])
    def test_no_prefix_leads_elsewhere(self, store: Store, prefix: str) -> None:
        """A prefix follows the rules of names."""
        with pytest.raises(StorageError, match="is refused"):
            store.list(prefix)

    def test_a_read_only_store_writes_nothing(self, opened: Open) -> None:
        """Every writing method is refused with the setting's name, and reading works."""
        opened().write("a", b"1")
        store = opened(read_only=True)
        for call in (
            lambda: store.write("a", b"2"),
            lambda: store.write_if_absent("b", b"2"),
            lambda: store.write_if_match("b", b"2", None),
            lambda: store.delete("a"),
        ):
            with pytest.raises(StorageError, match=f"{SETTING} names is read only"):
                call()
        assert store.read("a") == b"1" and [item.name for item in store.list("")] == ["a"]

    def test_a_store_tells_where_it_is_and_no_secret(self, store: Store, opened: Open) -> None:
        """`url` opens the same place again; neither it nor the repr has the key."""
        store.write("a", b"1")
        assert opened().url == store.url
        assert store.url in repr(store) and KEY not in repr(store) + str(vars(store))


class TestFiles:
    """What only a folder has to take care of."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An absent folder."""
        return tmp_path / "lake"

    @pytest.fixture
    def files(self, folder: Path) -> Store:
        """A store in that folder."""
        return open_store(folder.as_uri(), setting=SETTING)

    def test_content_is_on_the_disk_before_it_has_its_name(
        self, files: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is flushed, then named, then its folder flushed: a power cut loses no half."""
        files.write("a/old", b"0")
        files.delete("never/was")  # so that the folder of the locks is there
        calls = []
        real_flush = os.fsync

        def flush(descriptor: int) -> None:
            is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
            calls.append("flush folder" if is_folder else "flush file")
            real_flush(descriptor)

        monkeypatch.setattr(os, "fsync", flush)
        for name in ("replace", "link"):
            real = getattr(os, name)
            monkeypatch.setattr(
                os, name, lambda *paths, n=name, f=real: (calls.append(n), f(*paths))[1]
            )
        files.write("a/old", b"1")
        files.write_if_absent("a/new", b"1")
        files.write_if_match("a/newer", b"1", None)
        naming = ["replace", "link", "link"]
        assert calls == [step for n in naming for step in ("flush file", n, "flush folder")]

    def test_a_write_that_fails_leaves_the_old_content(
        self, files: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full disk is an error with the setting's name; no temporary file stays behind."""
        files.write("a", b"old")

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        for write in (files.write, files.write_if_absent):
            with pytest.raises(StorageError, match=f"'a'.*No space left.*{SETTING}"):
                write("a", b"new")
        monkeypatch.undo()
        assert files.read("a") == b"old"
        assert sorted(path.name for path in folder.iterdir()) == [".rancast-locks", "a"]

    def test_what_a_killed_writer_left_is_never_listed(self, files: Store, folder: Path) -> None:
        """Unfinished files and locks are no objects."""
        files.write("a/b", b"1")
        (folder / "a" / ".rancast-0123456789abcdef").write_bytes(b"half")
        assert [item.name for item in files.list("")] == ["a/b"]
        assert [item.name for item in files.list("a/.")] == []

    def test_processes_exclude_each_other(self, files: Store, folder: Path) -> None:
        """Two processes that count up by compare-and-set lose no increment."""
        files.write("n", b"0 0")
        script = (
            "import os, sys; from tasks.storage import open_store; from rancast.errors import *\\n"
            "store = open_store(sys.argv[1], setting='X')\\n"
            "for _ in range(50):\\n"
            "    while True:\\n"
            "        data, etag = store.read_tagged('n')\\n"
            "        try:\\n"
            "            following = f'{int(data.split()[0]) + 1} {os.getpid()}'\\n"
            "            store.write_if_match('n', following.encode(), etag); break\\n"
            "        except WriteConflict: pass\\n"
        ).replace("\\n", "\n")
        command = [sys.executable, "-c", script, folder.as_uri()]
        running = [subprocess.Popen(command, cwd=CHECKOUT) for _ in range(2)]
        assert [process.wait(timeout=60) for process in running] == [0, 0]
        assert files.read("n").startswith(b"100 ")

    def test_a_link_is_not_followed_out_of_the_store(self, files: Store, folder: Path) -> None:
        """Neither a linked file nor a linked folder is read, written or silently left out."""
        outside = folder.parent / "outside"
        outside.mkdir()
        (outside / "secret").write_bytes(b"1")
        files.write("a", b"1")
        (folder / "file").symlink_to(outside / "secret")
        (folder / "sub").symlink_to(outside)
        for name in ("file", "sub/secret"):
            with pytest.raises(StorageError, match="link or not a plain file"):
                files.read(name)
            with pytest.raises(StorageError, match="link or not a plain file"):
                files.write(name, b"2")
        with pytest.raises(StorageError, match="'file'.*link or not a plain file"):
            files.list("")
        assert (outside / "secret").read_bytes() == b"1"

    def test_an_object_is_not_a_folder_as_well(self, files: Store) -> None:
        """What only a folder cannot store is an error that names it, and changes nothing."""
        files.write("a/b", b"1")
        for name in ("a", "a/b/c"):
            with pytest.raises(StorageError, match=f"'{name}'"):
                files.write(name, b"2")
            with pytest.raises(StorageError, match=f"'{name}'"):
                files.write_if_match(name, b"2", None)
            with pytest.raises(StorageError, match=f"'{name}'"):
                files.write_if_absent(name, b"2")
            files.delete(name)
        assert [item.name for item in files.list("")] == ["a/b"] and files.read("a/b") == b"1"

    def test_a_file_with_a_hostile_name_is_named(self, files: Store, folder: Path) -> None:
        """A name that no store would take stops the listing instead of being left out."""
        folder.mkdir()
        (folder / "a\\..\\b").write_bytes(b"1")
        with pytest.raises(StorageError, match=r"'a\\\\\.\.\\\\b' is refused"):
            files.list("")

    def test_a_listing_reads_only_the_folder_of_its_prefix(
        self, files: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Listing a day does not walk through the other days."""
        for day in range(1, 6):
            files.write(f"d/day={day:02}/x", b"1")
        real, walked = os.scandir, []
        monkeypatch.setattr(os, "scandir", lambda path: (walked.append(path), real(path))[1])
        files.list("d/day=03/")
        assert [Path(path).name for path in walked] == ["day=03"]

    def test_a_raw_folder_that_is_missing_is_named(self, folder: Path) -> None:
        """A mistyped folder to read from is an error, not an empty container."""
        store = open_store(folder.as_uri(), setting="RANCAST_RAW_URL", read_only=True)
        with pytest.raises(StorageUnreachable, match=f"{folder} does not exist.*RANCAST_RAW_URL"):
            store.list("d/")

    @pytest.mark.parametrize(
        "url", ["file:relative", "file://host/folder", "file:///a?b", "file:///a#b", "file:"]
    )
    def test_a_folder_is_written_in_full(self, url: str) -> None:
        """What is not one absolute local folder is refused."""
        with pytest.raises(ConfigurationError, match=f"{SETTING}.*file:///var"):
            open_store(url, setting=SETTING)


def gets(exchange: Exchange) -> bool:
    """Tell whether a blob's content was asked for."""
    return exchange.method == "GET" and exchange.status == 206


def puts(exchange: Exchange) -> bool:
    """Tell whether a blob was written."""
    return exchange.method == "PUT" and exchange.status == 201


def lose(exchange: Exchange) -> None:
    """Close the connection instead of answering."""
    exchange.is_lost = True


def cut(exchange: Exchange) -> None:
    """Close the connection in the middle of the answer."""
    exchange.sent = len(exchange.body) // 2


def stall(exchange: Exchange) -> None:
    """Stop in the middle of the answer, and keep the connection."""
    exchange.sent, exchange.is_stalled = len(exchange.body) // 2, True


def flip(exchange: Exchange) -> None:
    """Change one bit in the middle of the answer."""
    body = bytearray(exchange.body)
    body[len(body) // 2] ^= 1
    exchange.body = bytes(body)


class TestFaults:
    """What a bad network does between Azure and us."""

    @pytest.fixture
    def container(self, azurite: Azurite) -> Iterator[ContainerClient]:
        """A client of the container that goes straight to Azurite."""
        name = azurite.container().rpartition("/")[2]
        with ContainerClient.from_connection_string(azurite.connection_string, name) as client:
            yield client

    @pytest.fixture
    def between(self, azurite: Azurite) -> Iterator[Proxy]:
        """A proxy in front of Azurite."""
        with proxy(azurite.endpoint_url) as server:
            yield server

    @pytest.fixture
    def azure(self, between: Proxy, container: ContainerClient) -> Store:
        """A store that reaches the container through the proxy."""
        endpoint = f"http://{between.address}/{ACCOUNT}"
        return open_store(
            f"{endpoint}/{container.container_name}",
            keyed(endpoint),
            setting=SETTING,
            patience=Patience(timeout_s=10, retries=2, pause_base_s=0),
        )

    def test_a_listing_is_one_request_for_the_prefix(self, azure: Store, between: Proxy) -> None:
        """A day among many is listed by one request, which names it: no container is scanned."""
        for day in range(1, 13):
            azure.write(f"raw/d/day={day:02}/x.csv", b"1")
        between.exchanges.clear()
        assert [item.name for item in azure.list("raw/d/day=03/")] == ["raw/d/day=03/x.csv"]
        assert len(between.exchanges) == 1
        query = parse_qs(urlsplit(between.exchanges[0].path).query)
        assert query["prefix"] == ["raw/d/day=03/"] and query["comp"] == ["list"]
        assert between.exchanges[0].body.count(b"<Blob>") == 1

    def test_a_long_listing_is_one_request_a_page(self, azure: Store, between: Proxy) -> None:
        """A page that names a next one is followed by exactly one request for that."""
        pages = {"": ("n/1", "more"), "more": ("n/2", "")}

        def answer(exchange: Exchange) -> None:
            marker = parse_qs(urlsplit(exchange.path).query).get("marker", [""])[0]
            name, following = pages[marker]
            exchange.status, exchange.reply = 200, [("Content-Type", "application/xml")]
            exchange.body = (
                "<?xml version='1.0'?><EnumerationResults ServiceEndpoint='x' ContainerName='c'>"
                f"<Blobs><Blob><Name>{name}</Name><Properties><Etag>0x1</Etag>"
                "<Content-Length>3</Content-Length><BlobType>BlockBlob</BlobType></Properties>"
                "</Blob></Blobs>"
                f"<NextMarker>{following}</NextMarker></EnumerationResults>"
            ).encode()

        between.fault = answer
        assert [item.name for item in azure.list("n/")] == ["n/1", "n/2"]
        assert len(between.exchanges) == 2

    def test_transfers_share_a_bounded_pool(self, azure: Store, between: Proxy) -> None:
        """Forty reads go over at most as many connections as there are workers."""
        names = [f"n/{number}" for number in range(40)]
        for name in names:
            azure.write(name, name.encode())
        between.connections = 0
        assert azure.read_many(names) == [name.encode() for name in names]
        assert 1 < between.connections <= WORKERS
        assert sum(map(gets, between.exchanges)) == len(names)

    def test_a_lost_reply_is_not_an_earlier_writer(self, azure: Store, between: Proxy) -> None:
        """Our own write whose reply was lost is a success, and is there once."""
        between.fault = Once(puts, lose)
        assert azure.write_if_absent("a", b"ours") == b"ours"
        between.fault = Once(puts, lose)
        etag = azure.write_if_match("p", b"1", None)
        assert azure.read_tagged("p") == (b"1", etag)
        between.fault = Once(puts, lose)
        etag = azure.write_if_match("p", b"2", etag)
        assert azure.read_tagged("p") == (b"2", etag)
        between.fault = Once(puts, lose)
        azure.write("w", b"3")
        assert azure.read("w") == b"3"
        assert sum(exchange.status in (409, 412) for exchange in between.exchanges) == 3

    def test_a_lost_reply_does_not_hide_a_winner(
        self, azure: Store, between: Proxy, container: ContainerClient
    ) -> None:
        """Where somebody else's content is there when we ask again, theirs is what counts."""

        def overtake(exchange: Exchange) -> None:
            lose(exchange)
            container.upload_blob("a", b"theirs", overwrite=True)

        between.fault = Once(puts, overtake)
        assert azure.write_if_absent("a", b"ours") == b"theirs"
        azure.delete("a")
        between.fault = Once(puts, overtake)
        with pytest.raises(WriteConflict):
            azure.write_if_match("a", b"ours", None)

    def test_a_delete_whose_reply_was_lost_is_done(self, azure: Store, between: Proxy) -> None:
        """The repeated request finds nothing, which is what was wanted."""
        azure.write("a", b"1")
        between.fault = Once(lambda exchange: exchange.method == "DELETE", lose)
        azure.delete("a")
        assert not azure.exists("a")

    @pytest.mark.parametrize("fault", [cut, flip, lose])
    @pytest.mark.parametrize("data", [b"small content", LARGE], ids=len)
    def test_a_hurt_download_is_read_again(
        self, azure: Store, between: Proxy, data: bytes, fault: Callable[[Exchange], None]
    ) -> None:
        """A connection cut half-way and a flipped bit cost time, never content."""
        azure.write("a", data)
        between.fault = Once(gets, fault)
        assert azure.read("a") == data
        between.fault = Once(gets, fault, times=2)
        assert azure.read_many(["a", "a"]) == [data, data]

    @pytest.mark.parametrize("is_stored", [True, False])
    @pytest.mark.parametrize("data", [b"small content", LARGE], ids=len)
    def test_wrong_content_is_never_returned(
        self,
        azure: Store,
        between: Proxy,
        container: ContainerClient,
        data: bytes,
        is_stored: bool,
    ) -> None:
        """A bit that flips each time is an error, also for a blob that has no MD5 of its own."""
        if is_stored:
            azure.write("a", data)
        else:
            blob = container.get_blob_client("a")
            blob.stage_block("0001", data)
            blob.commit_block_list([BlobBlock("0001")])
        assert (azure.list("a")[0].md5 is not None) == is_stored
        assert azure.read("a") == data
        between.fault = Once(gets, flip, times=100)
        with pytest.raises(StorageError, match="'a'.*checksum"):
            azure.read("a")

    @pytest.mark.parametrize("data", [b"small content", LARGE], ids=len)
    def test_content_that_rotted_at_rest_is_never_returned(
        self, azure: Store, container: ContainerClient, data: bytes
    ) -> None:
        """Content that is not what its stored MD5 says is an error."""
        wrong = ContentSettings(content_md5=bytearray(16))
        container.upload_blob("a", data)
        container.get_blob_client("a").set_http_headers(wrong)
        with pytest.raises(StorageError, match="'a'.*checksum"):
            azure.read("a")

    def test_a_download_that_is_always_cut_ends(self, azure: Store, between: Proxy) -> None:
        """Part of the content is never returned; the error names the setting."""
        azure.write("a", b"content" * 100)
        between.fault = Once(gets, cut, times=100)
        with pytest.raises(StorageUnreachable, match=SETTING):
            azure.read("a")

    def test_content_replaced_during_a_download_is_whole(
        self, azure: Store, between: Proxy, container: ContainerClient
    ) -> None:
        """A blob that is replaced between two ranges is read again, not mixed."""
        azure.write("a", LARGE)
        other = LARGE[::-1]

        def replace(_: Exchange) -> None:
            container.upload_blob("a", other, overwrite=True)

        between.fault = Once(gets, replace)
        assert azure.read("a") == other

    def test_encoded_content_comes_as_stored(
        self, azure: Store, container: ContainerClient
    ) -> None:
        """A blob that says Content-Encoding: gzip is not blown up on the way."""
        data = gzip.compress(bytes(10_000_000), mtime=0)
        settings = ContentSettings(content_encoding="gzip", content_type="text/csv")
        container.upload_blob("a.csv.gz", data, content_settings=settings)
        assert azure.read("a.csv.gz") == data

    def test_a_listed_name_that_climbs_is_an_error(
        self, azure: Store, container: ContainerClient
    ) -> None:
        """The name that Azure lists as 'd/../b' is reported with its name, not followed."""
        container.upload_blob("d\\..\\b", b"1")
        with pytest.raises(StorageError, match=r"'d/\.\./b' is refused"):
            azure.list("d/")

    def test_folders_of_a_data_lake_are_no_objects(
        self, azure: Store, container: ContainerClient
    ) -> None:
        """Placeholders for folders are left out of listings."""
        container.upload_blob("d/sub", b"", metadata={"hdi_isfolder": "true"})
        container.upload_blob("d/tool/", b"")
        container.upload_blob("d/sub/x.csv", b"1")
        assert [item.name for item in azure.list("d/")] == ["d/sub/x.csv"]

    def test_a_large_write_is_one_verified_request(self, azure: Store, between: Proxy) -> None:
        """Content of any size is put at once, with the checksum that the service verifies."""
        data = bytes(65 * 2**20)
        azure.write("a", data)
        written = [exchange for exchange in between.exchanges if exchange.method == "PUT"]
        md5 = base64.b64decode(written[0].request["content-md5"])
        assert len(written) == 1 and md5 == hashlib.md5(data).digest()
        assert azure.list("a")[0].md5 == md5.hex()

    def test_a_slow_upload_is_not_given_up(self, azurite: Azurite, between: Proxy) -> None:
        """The timeout bounds silence, not the length of a transfer that goes on."""
        endpoint = f"http://{between.address}/{ACCOUNT}"
        url = azurite.container().replace(azurite.endpoint_url, endpoint)
        patience = Patience(timeout_s=0.6, retries=0)
        store = open_store(url, keyed(endpoint), setting=SETTING, patience=patience)
        between.pace = (2**20, 0.1)
        data = bytes(16 * 2**20)
        start = time.monotonic()
        store.write("a", data)
        assert time.monotonic() - start > 2 * patience.timeout_s
        assert sum(map(puts, between.exchanges)) == 1

    def test_a_server_in_trouble_is_asked_again_and_then_named(
        self, azure: Store, between: Proxy
    ) -> None:
        """One 503 is overcome, lasting ones are an error with status and code."""
        azure.write("a", b"1")

        def busy(exchange: Exchange) -> None:
            exchange.status, exchange.body = 503, b""
            exchange.reply = [("x-ms-error-code", "ServerBusy")]

        between.fault = Once(gets, busy)
        assert azure.read("a") == b"1"
        between.fault = Once(gets, busy, times=100)
        with pytest.raises(StorageError, match="'a'.*503 ServerBusy"):
            azure.read("a")


def one_line(error: RancastError) -> str:
    """Return an error's text, which must be one line, without the SDK's own error behind it."""
    assert "\n" not in str(error) and error.__suppress_context__ and error.__cause__ is None
    return str(error)


class TestAddress:
    """What an address or a credential that does not work gives: one line, soon, and no secret."""

    def test_nobody_there_is_an_error_within_half_a_minute(self) -> None:
        """A closed port and a silent one give up in 30 s by default, for one blob and for many."""

        def timed(address: str, use: Callable[[Store], object]) -> float:
            endpoint = f"http://{address}/{ACCOUNT}"
            store = open_store(f"{endpoint}/container", keyed(endpoint), setting=SETTING)
            start = time.monotonic()
            with pytest.raises(StorageUnreachable, match=f"nobody answers.*{SETTING}") as caught:
                use(store)
            one_line(caught.value)
            return time.monotonic() - start

        uses: dict[str, Callable[[Store], object]] = {
            "list": lambda store: store.list("a/"),
            "write_if_match": lambda store: store.write_if_match("a", bytes(2**24), None),
            "read_many": lambda store: store.read_many([str(number) for number in range(60)]),
        }
        with silent_server() as silent, ThreadPoolExecutor(6) as pool:
            closed = f"127.0.0.1:{free_port()}"
            took = {
                (kind, name): pool.submit(timed, address, use)
                for kind, address in (("closed", closed), ("silent", silent))
                for name, use in uses.items()
            }
            seconds = {key: round(future.result(), 1) for key, future in took.items()}
        print("seconds until the error:", seconds)
        assert max(seconds.values()) < 30

    def test_a_transfer_that_stalls_ends(self, azurite: Azurite) -> None:
        """A server that stops in the middle of a blob is an error, too."""
        with proxy(azurite.endpoint_url) as between:
            endpoint = f"http://{between.address}/{ACCOUNT}"
            url = azurite.container().replace(azurite.endpoint_url, endpoint)
            store = open_store(url, keyed(endpoint), setting=SETTING, patience=HASTE)
            store.write("a", b"content")
            assert store.read("a") == b"content"
            between.fault = Once(gets, stall, times=100)
            with pytest.raises(StorageUnreachable, match=f"nobody answers.*{SETTING}"):
                store.read("a")

    def test_another_server_at_the_address_is_named(self, azurite: Azurite) -> None:
        """A web page where Blob Storage should be is an error that names the setting."""

        def page(exchange: Exchange) -> None:
            exchange.status, exchange.reply = 200, [("Content-Type", "text/html")]
            exchange.body = b"<html><br>Welcome</html>"

        with proxy(azurite.endpoint_url) as between:
            between.fault = page
            endpoint = f"http://{between.address}/{ACCOUNT}"
            store = open_store(f"{endpoint}/ccc", keyed(endpoint), setting=SETTING, patience=HASTE)
            for call in (
                lambda: store.list("a/"),
                lambda: store.read("a"),
                lambda: store.write("a", b"1"),
                lambda: store.write_if_match("a", b"1", None),
            ):
                with pytest.raises(
                    StorageUnreachable, match=f"not Blob Storage.*{SETTING}"
                ) as caught:
                    call()
                one_line(caught.value)

    def test_a_missing_container_is_not_a_missing_object(self, azurite: Azurite) -> None:
        """A mistyped container is an error of every method, never 'absent'."""
        url = f"{azurite.endpoint_url}/no-such-container"
        store = open_store(url, SecretStr(azurite.connection_string), setting=SETTING)
        for call in (
            lambda: store.list("a/"),
            lambda: store.read("a"),
            lambda: store.exists("a"),
            lambda: store.write_if_absent("a", b"1"),
            lambda: store.delete("a"),
        ):
            with pytest.raises(StorageError, match=f"no container.*correct {SETTING}") as caught:
                call()
            assert not isinstance(caught.value, ObjectNotFound)
            one_line(caught.value)

    def test_a_wrong_key_is_one_line(self, azurite: Azurite) -> None:
        """A refused key names the setting to correct and is not printed."""
        wrong = base64.b64encode(b"canary" * 8).decode()
        secret = SecretStr(azurite.connection_string.replace(KEY, wrong))
        store = open_store(azurite.container(), secret, setting=SETTING)
        with pytest.raises(StorageUnreachable, match="RANCAST_LAKE_CONNECTION_STRING") as caught:
            store.read("a")
        assert "AuthorizationFailure" in one_line(caught.value)
        assert wrong not in "".join(traceback.format_exception(caught.value)) + repr(store)

    def test_a_shared_access_signature_works(self, azurite: Azurite) -> None:
        """A connection string may bring a signature instead of a key."""
        container = azurite.container()
        signature = generate_account_sas(
            ACCOUNT,
            KEY,
            ResourceTypes(container=True, object=True),
            AccountSasPermissions(read=True, write=True, list=True, create=True),
            datetime.now(UTC) + timedelta(minutes=10),
            start=datetime.now(UTC) - timedelta(minutes=10),
        )
        text = f"BlobEndpoint={azurite.endpoint_url};SharedAccessSignature={signature}"
        store = open_store(container, SecretStr(text), setting=SETTING)
        store.write("a", b"1")
        assert store.read("a") == b"1" and "sig=" not in store.url + repr(store)

    def test_a_signature_does_not_leak_where_nobody_answers(self) -> None:
        """The HTTP client's own error quotes the whole URL; ours does not, nor its traceback."""
        endpoint = f"http://127.0.0.1:{free_port()}/{ACCOUNT}"
        text = f"BlobEndpoint={endpoint};SharedAccessSignature=sv=2024&sig=canary"
        store = open_store(
            f"{endpoint}/container", SecretStr(text), setting=SETTING, patience=HASTE
        )
        with pytest.raises(StorageUnreachable) as caught:
            store.list("a/")
        one_line(caught.value)
        assert "canary" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize(
        ("url", "text", "message"),
        [
            ("https://canary@a.blob.core.windows.net/ccc", None, "holds a query.*password"),
            ("https://a.blob.core.windows.net/ccc?sig=canary", None, "holds a query"),
            ("http://a.blob.core.windows.net/ccc", None, "in the clear; write https"),
            ("https://a.blob.core.windows.net/", None, "names no container"),
            ("https://a.blob.core.windows.net", None, "names no container"),
            ("https://a.blob.core.windows.net/Not_One", None, "names no container"),
            ("http://127.0.0.1:1/account", None, "names no container"),
            ("https://a.blob.core.windows.net/ccc/../d", None, "prefix that cannot be"),
            ("https://a.blob.core.windows.net/ccc/%2E%2E/d", None, "prefix that cannot be"),
            ("http://127.0.0.1:1/account/ccc", None, "set RANCAST_LAKE_CONNECTION_STRING"),
            ("wasbs://ccc@a.blob.core.windows.net/", None, "starts with 'wasbs'"),
            ("/var/lib/lake", None, "write file:///FOLDER"),
            ("", None, "write file:///FOLDER"),
            ("https://a.blob.core.windows.net/ccc", "canary", "not a connection string"),
            ("https://a.blob.core.windows.net/ccc", "AccountKey=canary", "not a connection string"),
            (
                "https://a.blob.core.windows.net/ccc",
                "AccountName=a;AccountKey=canary=!;EndpointSuffix=core.windows.net",
                "not a connection string",
            ),
            (
                "https://a.blob.core.windows.net/ccc",
                "AccountName=b;AccountKey=Y2FuYXJ5;EndpointSuffix=core.windows.net",
                "'b' at https://b.blob.core.windows.net, but RANCAST_LAKE_URL is https://a",
            ),
            (
                "https://a.blob.core.windows.net/ccc",
                "AccountName=b;AccountKey=Y2FuYXJ5;BlobEndpoint=https://a.blob.core.windows.net",
                "for the account 'b'",
            ),
            (
                "http://127.0.0.1:1/a/ccc",
                "AccountName=a;AccountKey=Y2FuYXJ5;BlobEndpoint=http://127.0.0.1:2/a",
                "at http://127.0.0.1:2/a, but",
            ),
            (
                "http://127.0.0.1:1/a/ccc",
                "BlobEndpoint=http://127.0.0.1:1/b;SharedAccessSignature=sig=canary",
                "at http://127.0.0.1:1/b, but",
            ),
        ],
    )
    def test_what_cannot_work_is_refused_at_once(
        self, url: str, text: str | None, message: str
    ) -> None:
        """A URL or connection string of the wrong form or account is named, its secret never."""
        secret = None if text is None else SecretStr(text)
        with pytest.raises(ConfigurationError, match=message) as caught:
            open_store(url, secret, setting=SETTING)
        printed = "".join(traceback.format_exception(caught.value, chain=False))
        assert SETTING.removesuffix("_URL") in str(caught.value)
        assert "canary" not in str(caught.value) and "Y2FuYXJ5" not in str(caught.value)
        assert caught.value.__cause__ is None and "binascii" not in printed

    @pytest.mark.parametrize(
        ("url", "text", "expected"),
        [
            (
                "https://acc.blob.core.windows.net/ccc/p/q/",
                "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=Y2FuYXJ5;"
                "EndpointSuffix=core.windows.net",
                "https://acc.blob.core.windows.net/ccc/p/q",
            ),
            (
                "https://ACC.Blob.core.windows.net/ccc",
                "AccountName=acc;AccountKey=Y2FuYXJ5;"
                "BlobEndpoint=https://acc.blob.core.windows.net/",
                "https://acc.blob.core.windows.net/ccc",
            ),
            (
                "http://azurite:10000/a/ccc",
                "AccountName=a;AccountKey=Y2FuYXJ5;BlobEndpoint=http://azurite:10000/a;",
                "http://azurite:10000/a/ccc",
            ),
            (
                f"http://127.0.0.1:10000/{ACCOUNT}/ccc",
                "UseDevelopmentStorage=true",
                f"http://127.0.0.1:10000/{ACCOUNT}/ccc",
            ),
            (
                "https://data.operator.example/ccc",
                "AccountName=a;AccountKey=Y2FuYXJ5;BlobEndpoint=https://data.operator.example",
                "https://data.operator.example/ccc",
            ),
        ],
    )
    def test_every_way_to_write_an_account_is_understood(
        self, url: str, text: str, expected: str
    ) -> None:
        """Accounts in the host or the path, other ports, own domains, and prefixes."""
        assert open_store(url, SecretStr(text), setting=SETTING).url == expected


class Tokens:
    """A stand-in credential, which counts how often it is asked."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.asked: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Return the token, good for an hour."""
        self.asked.append(scopes)
        return AccessToken(self.token, int(time.time()) + 3600)


@pytest.fixture(scope="module")
def certificate(servers: Servers) -> Path:
    """A certificate for 127.0.0.1, with its key beside it."""
    return certify(servers.folder)


@pytest.fixture(scope="module")
def secure(servers: Servers, certificate: Path) -> Azurite:
    """An Azurite that speaks https and takes tokens."""
    key = str(certificate.with_suffix(".key"))
    options = ("--cert", str(certificate), "--key", key, "--oauth", "basic")
    return start_azurite(servers, "azurite-https", options)


class TestTokens:
    """Token credentials: a stand-in for the identity, and Azurite that checks its claims."""

    @pytest.fixture
    def container(self, secure: Azurite, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """The URL of a container, whose certificate is trusted."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        return secure.container()

    def test_a_token_opens_the_store(self, container: str) -> None:
        """A credential is asked when needed, once for many requests, and its token is sent."""
        tokens = Tokens(token())
        store = open_store(container, setting=SETTING, credential=tokens)
        assert tokens.asked == []
        store.write("a/b", b"1")
        assert store.read_many(["a/b"] * 20) == [b"1"] * 20
        assert [item.name for item in store.list("a/")] == ["a/b"]
        assert tokens.asked == [("https://storage.azure.com/.default",)]

    @pytest.mark.parametrize("wrong", ["canary", "expired", "audience"])
    def test_a_refused_token_is_one_line(self, container: str, wrong: str) -> None:
        """A token that the service refuses names place and setting, and is not printed."""
        made = {
            "canary": "canary",
            "expired": token(age_s=7200),
            "audience": token(audience="https://canary.example"),
        }[wrong]
        store = open_store(container, setting=SETTING, credential=Tokens(made))
        with pytest.raises(StorageUnreachable, match="RANCAST_LAKE_CONNECTION_STRING") as caught:
            store.write("a", b"1")
        assert one_line(caught.value).startswith(f"the credential for {container} was refused")
        assert made not in "".join(traceback.format_exception(caught.value))

    def test_without_any_credential_the_error_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The default credential is made when needed, asked once, and its page of text is cut."""
        made = []

        class NoCredential:
            def __init__(self) -> None:
                made.append(self)

            def get_token(self, *_: str, **__: Any) -> AccessToken:
                raise ClientAuthenticationError("canary\n\tnone of these\n" * 50)

        monkeypatch.setattr("azure.identity.DefaultAzureCredential", NoCredential)
        store = open_store("https://a.blob.core.windows.net/ccc", setting=SETTING)
        assert made == []
        with pytest.raises(StorageUnreachable, match="no credential.*_CONNECTION_STRING") as caught:
            store.list("a/")
        assert len(made) == 1 and len(one_line(caught.value)) < 400
        assert "canary" not in "".join(traceback.format_exception(caught.value))

    def test_an_entra_error_keeps_its_number(self) -> None:
        """The number by which Microsoft documents a refusal is all that is kept of its text."""

        class Refused(Tokens):
            def get_token(self, *_: str, **__: Any) -> AccessToken:
                raise ClientAuthenticationError("AADSTS7000215: Invalid client secret canary")

        store = open_store(
            "https://a.blob.core.windows.net/ccc", setting=SETTING, credential=Refused("")
        )
        with pytest.raises(StorageUnreachable, match="AADSTS7000215") as caught:
            store.exists("a")
        assert "canary" not in one_line(caught.value)


def certify(folder: Path) -> Path:
    """Write a self-signed certificate of 127.0.0.1 and its key, unless another worker did."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from filelock import FileLock

    path = folder / "loopback.pem"
    with FileLock(folder / "loopback.lock"):
        if path.exists():
            return path
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rancast tests")])
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path.with_suffix(".key").write_bytes(private)
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def token(age_s: int = 0, audience: str = "https://storage.azure.com") -> str:
    """Return an unsigned token as Entra ID would issue it; Azurite checks its claims."""
    import jwt

    issued = int(time.time()) - age_s
    claims = {
        "aud": audience,
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 3600,
    }
    return jwt.encode(claims, "only Entra ID could sign; Azurite does not look" * 2, "HS256")


def test_the_default_bound_is_what_is_documented() -> None:
    """Tries, their timeouts and the longest pauses of the default patience stay below 30 s."""
    patience = storage.Patience()
    pauses = sum(patience.pause_base_s**n + 1 for n in range(1, patience.retries + 1))
    assert (patience.retries + 1) * patience.timeout_s + pauses == 23
