"""The registry on a real MLflow: each thing exactly once, whatever is lost, killed or doubled."""

import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest

from rancast import models
from rancast.documents import canonical_json, sha256
from rancast.errors import ModelRefused, RegistryError
from rancast.models import ModelCard
from tasks.environment import DEFAULTS
from tasks.registry import Registry, verify_in_clean_process

SECRET = "canary-hunter2-canary"
AT_MS = 1_709_251_200_000


class FilePins:
    """The ledger's pins in a folder: put-if-absent by link, as several processes would see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, name: str) -> Path:
        return self.folder / f"{name.replace('/', '~')}.json"

    def pin(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Put a value if absent; return the one that is there."""
        draft = self.folder / uuid.uuid4().hex
        draft.write_bytes(canonical_json(value))
        try:
            os.link(draft, self._path(name))
        except FileExistsError:
            pass
        return dict(json.loads(self._path(name).read_bytes()))

    def pinned(self, name: str) -> dict[str, Any] | None:
        """Return a pinned value, None where there is none."""
        path = self._path(name)
        return json.loads(path.read_bytes()) if path.exists() else None


@pytest.fixture
def pins(tmp_path: Path) -> FilePins:
    """Empty pins."""
    folder = tmp_path / "pins"
    folder.mkdir()
    return FilePins(folder)


@pytest.fixture
def use_case() -> str:
    """A use case that no other test has: the server is shared."""
    return f"use_case_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def registry(mlflow_server: str) -> Registry:
    """The registry on the shared server."""
    return Registry(mlflow_server)


@pytest.fixture(params=["server", "sqlite"])
def any_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    """The registry on a server and, as in embedded use, on SQLite."""
    if request.param == "server":
        return Registry(request.getfixturevalue("mlflow_server"))
    database = tmp_path / "mlflow" / "mlflow.db"
    database.parent.mkdir()
    database.write_bytes(request.getfixturevalue("mlflow_template").read_bytes())
    return Registry(f"sqlite:///{database}")


class Fitted:
    """A small fitted model with what `fit` would hand over."""

    def __init__(self) -> None:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import OneHotEncoder

        random = np.random.default_rng(1)
        X = pd.DataFrame(
            {
                "load": random.uniform(0, 1, 200),
                "latency_ms": random.normal(50, 10, 200),
                "technology": random.choice(["4G", "5G"], 200),
            }
        )
        X.loc[::7, "latency_ms"] = np.nan
        encode = ColumnTransformer(
            [("technology", OneHotEncoder(sparse_output=False), ["technology"])],
            remainder="passthrough",
        )
        model = Pipeline([("encode", encode), ("fit", HistGradientBoostingClassifier(max_iter=5))])
        model.fit(X, (X["load"] > 0.6).astype(int))
        self.model = models.dump(model)
        self.card = ModelCard(
            candidate="boosting",
            estimator="HistGradientBoostingClassifier",
            params={"max_iter": 5},
            features=tuple(X.columns),
            categories=("technology",),
            problem="classification",
            threshold=0.37,
            train_end="2024-03-01T00:00:00+00:00",
            refit=False,
            model_sha256=sha256(self.model),
        )
        golden = X.head(50)
        self.golden = golden.assign(prediction=models.predict(model, golden, self.card))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """One fitted model for all tests: nothing changes it."""
    return Fitted()


def active_runs(registry: Registry, use_case: str) -> list[Any]:
    """Return all active runs of an experiment."""
    experiment = registry._client.get_experiment_by_name(use_case)
    return list(registry._client.search_runs([experiment.experiment_id])) if experiment else []


def versions(registry: Registry, use_case: str) -> list[int]:
    """Return all versions of a registered model."""
    found = registry._client.search_model_versions(f"name = '{use_case}'")
    return sorted(int(item.version) for item in found)


def artifacts(registry: Registry, run_id: str) -> dict[str, str]:
    """Return the SHA-256 of every artifact of a run by its path."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(registry._client.download_artifacts(run_id, "", folder))
        return {
            path.relative_to(root).as_posix(): sha256(path.read_bytes())
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }


# --- a server that loses replies ----------------------------------------------------------------


class Proxy(ThreadingHTTPServer):
    """Passes requests on to MLflow; of those whose path ends so, it loses the first replies."""

    daemon_threads = True

    def __init__(self, target: str, losing: str = "-", losses: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.losing, self.left = urlsplit(target), losing, losses
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where the client has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        onward = http.client.HTTPConnection(proxy.target.hostname, proxy.target.port)
        onward.request(self.command, self.path, body, dict(self.headers) | {"Connection": "close"})
        reply = onward.getresponse()
        content = reply.read()
        onward.close()
        proxy.requests.append(f"{self.command} {self.path}")
        if self.path.split("?")[0].endswith(proxy.losing) and proxy.left > 0:
            proxy.left -= 1
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


@pytest.fixture
def proxy_for(mlflow_server: str) -> Iterator[Callable[..., Proxy]]:
    """Start proxies before the shared server; they end with the test."""
    started: list[Proxy] = []

    def start(losing: str = "-", losses: int = 1) -> Proxy:
        started.append(Proxy(mlflow_server, losing, losses))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return started[-1]

    yield start
    for proxy in started:
        proxy.shutdown()
        proxy.server_close()


@pytest.mark.parametrize("losing", ["runs/create", "experiments/create", "runs/delete"])
def test_lost_reply_leaves_one_run(
    losing: str, proxy_for: Callable[..., Proxy], pins: FilePins, use_case: str
) -> None:
    """MLflow repeats a request whose reply was lost; one active run remains."""
    proxy = proxy_for(losing)
    registry = Registry(proxy.url)
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    assert [run.info.run_id for run in active_runs(registry, use_case)] == [run_id]
    assert registry.ensure_run(pins, "key", use_case, "boosting", {}) == run_id
    if losing == "runs/create":
        assert sum(path.endswith("runs/create") for path in proxy.requests) == 2


@pytest.mark.parametrize("losing", ["model-versions/create", "registered-models/create"])
def test_lost_reply_leaves_one_version(
    losing: str, proxy_for: Callable[..., Proxy], pins: FilePins, use_case: str
) -> None:
    """A version created twice by a repeated request is one version afterwards, the lowest."""
    proxy = proxy_for(losing)
    registry = Registry(proxy.url)
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    assert registry.register(pins, use_case, "f1", run_id, {}) == 1
    assert versions(registry, use_case) == [1]
    assert sum(path.endswith(losing) for path in proxy.requests) == 2


@pytest.mark.parametrize("losing", ["runs/log-batch", "runs/update", "runs/set-tag"])
def test_lost_reply_logs_nothing_twice(
    losing: str, proxy_for: Callable[..., Proxy], pins: FilePins, use_case: str
) -> None:
    """A metric has one row and the run is finished, whichever reply was lost."""
    registry = Registry(proxy_for(losing).url)
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry.track_candidate(run_id, {"rows": 3}, {"mae": 1.5}, {}, {"a.txt": b"a"}, AT_MS)
    history = registry._client.get_metric_history(run_id, "mae")
    assert [(row.value, row.timestamp) for row in history] == [(1.5, AT_MS)]
    assert registry._client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize("losing", ["registered-models/alias", "model-versions/delete"])
def test_lost_reply_of_alias_or_deletion_changes_nothing(
    losing: str, proxy_for: Callable[..., Proxy], pins: FilePins, use_case: str, registry: Registry
) -> None:
    """Setting an alias and deleting a duplicate are done once, if asked for twice."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    version = registry.register(pins, use_case, "f1", run_id, {})
    source = registry._client.get_model_version(use_case, "1").source
    registry._client.create_model_version(
        use_case, source, run_id, {"rancast.fingerprint": "f1"}, await_creation_for=0
    )
    lossy = Registry(proxy_for(losing).url)
    assert lossy.register(pins, use_case, "f1", run_id, {}) == version == 1
    lossy.set_aliases(use_case, champion=1, previous=None)
    assert versions(registry, use_case) == [1]
    assert registry.aliases(use_case) == {"champion": 1}


# --- many at once -------------------------------------------------------------------------------


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Return what `count` calls return that start at the same moment."""
    barrier = threading.Barrier(count)

    def wait_and_call(number: int) -> Any:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_call, range(count)))


def test_eight_copies_end_with_one_run_and_one_version(
    any_registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Everyone adopts the same run and the same version, and no other is left."""
    uri = any_registry.tracking_uri
    runs = at_once(8, lambda _: Registry(uri).ensure_run(pins, "key", use_case, "boosting", {}))
    assert len(set(runs)) == 1
    assert [run.info.run_id for run in active_runs(any_registry, use_case)] == [runs[0]]
    found = at_once(8, lambda _: Registry(uri).register(pins, use_case, "f1", runs[0], {}))
    assert len(set(found)) == 1
    assert versions(any_registry, use_case) == [found[0]]


def test_eight_who_tag_and_log_for_the_first_time_at_once_all_succeed(
    registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Writers of the same values do not fail for having been second, run by run and version."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    version = registry.register(pins, use_case, "f1", run_id, {})
    tags = {f"rancast.tag_{number}": "same" for number in range(9)}
    at_once(8, lambda _: registry.tag_version(use_case, version, tags))
    at_once(8, lambda _: registry.tag_run(run_id, tags))
    params = {"model.C": "0.1", "model.max_depth": "8"}
    at_once(8, lambda _: registry.track_candidate(run_id, params, {"mae": 1.0}, tags, {}, 0))
    found = registry.tags_of(use_case, version)
    assert found is not None and found.items() >= tags.items()
    data = registry._client.get_run(run_id).data
    assert data.tags.items() >= tags.items() and data.metrics == {"mae": 1.0}


def test_eight_fingerprints_at_once_are_eight_versions(
    registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Different models never share a version, and none gets lost."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    found = at_once(8, lambda n: registry.register(pins, use_case, f"f{n}", run_id, {}))
    assert sorted(found) == versions(registry, use_case) == list(range(1, 9))


def test_new_database_is_migrated_under_a_lock(
    mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of processes that meet on a new database, one opens it at a time, until it is migrated."""
    import filelock
    import mlflow

    steps: list[str] = []

    class Lock(filelock.FileLock):
        def __enter__(self) -> Any:
            assert Path(self.lock_file) == tmp_path / "new" / "mlflow.db.lock"
            steps.append("locked")
            return super().__enter__()

        def __exit__(self, *args: Any) -> None:
            steps.append("released")
            super().__exit__(*args)

    class Client(mlflow.MlflowClient):
        def __init__(self, *uris: str) -> None:
            # migrating takes 10 s; what counts is that whatever opens a database holds the lock
            (tmp_path / "new" / "mlflow.db").write_bytes(mlflow_template.read_bytes())
            steps.append("opened")
            super().__init__(*uris)

        def search_experiments(self, **options: Any) -> Any:
            steps.append("used")
            return super().search_experiments(**options)

    monkeypatch.setattr(filelock, "FileLock", Lock)
    monkeypatch.setattr(mlflow, "MlflowClient", Client)
    monkeypatch.chdir(tmp_path)
    assert Registry(f"sqlite:///{tmp_path}/new/mlflow.db").aliases("none") == {}
    assert steps == ["locked", "opened", "used", "released"]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


# --- killed between any two calls ---------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9: nothing of ours catches it."""


class Mortal:
    """A client, or pins, that dies right after the n-th effect on the world, counted in `seen`."""

    EFFECT = re.compile(r"(create|log|set|delete|restore)_|pin$")

    def __init__(self, mortal: Any, seen: list[str], n: int) -> None:
        self.mortal, self.seen, self.n = mortal, seen, n

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.mortal, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            if self.EFFECT.match(name):
                self.seen.append(name)
                if len(self.seen) == self.n:
                    raise Killed(name)
            return result

        return call


def whole_road(registry: Registry, pins: FilePins, use_case: str, fitted: Fitted) -> int:
    """Do all that a training does with MLflow."""
    parent = registry.ensure_run(pins, "training", use_case, "training", {})
    run_id = registry.ensure_run(pins, "training/a", use_case, "boosting", {}, parent)
    registry.track_candidate(run_id, {"rows": 3}, {"mae": 1.5}, {}, {"a/b.txt": b"b"}, AT_MS)
    registry.log_model(run_id, fitted.model, fitted.card, fitted.golden)
    version = registry.register(pins, use_case, "f1", run_id, {"rancast.training_key": "t"})
    registry.tag_version(use_case, version, {"rancast.decision": "promote"})
    registry.track_candidate(parent, {}, {}, {}, {}, AT_MS)
    registry.set_aliases(use_case, version, None)
    return version


def state(registry: Registry, use_case: str) -> bytes:
    """Return what MLflow holds for a use case, apart from ids and wall-clock times."""
    runs = {}
    for run in active_runs(registry, use_case):
        files = artifacts(registry, run.info.run_id)
        files.pop("model/MLmodel", None)  # names its run
        runs[run.data.tags["rancast.key"]] = {
            "status": run.info.status,
            "params": run.data.params,
            "tags": {name: v for name, v in run.data.tags.items() if "parentRunId" not in name},
            "metrics": [
                (row.key, row.value, row.timestamp, row.step)
                for name in run.data.metrics
                for row in registry._client.get_metric_history(run.info.run_id, name)
            ],
            "artifacts": files,
        }
    found = registry._client.search_model_versions(f"name = '{use_case}'")
    tagged = [(int(item.version), item.tags) for item in found]
    experiment = registry.ensure_experiment(use_case)
    made = len(registry._client.search_runs([experiment], run_view_type=3))  # deleted ones, too
    return canonical_json([runs, made, tagged, registry.aliases(use_case)])


def test_killed_after_any_effect_ends_the_same(
    mlflow_template: Path, tmp_path: Path, fitted: Fitted
) -> None:
    """Kill after the n-th effect for each n, run again: the same end, one run a key, version 1."""
    ended: set[bytes] = set()
    seen: list[str] = []
    n = 0
    while len(seen) == n:
        n += 1
        folder = tmp_path / str(n)
        (folder / "pins").mkdir(parents=True)
        (folder / "mlflow.db").write_bytes(mlflow_template.read_bytes())
        pins, uri = FilePins(folder / "pins"), f"sqlite:///{folder}/mlflow.db"
        doomed, seen = Registry(uri), []
        doomed.__dict__["_client"] = Mortal(doomed._client, seen, n)
        try:
            whole_road(doomed, Mortal(pins, seen, n), "use_case", fitted)
        except Killed:
            pass
        assert whole_road(Registry(uri), pins, "use_case", fitted) == 1
        ended.add(state(Registry(uri), "use_case"))
    print(f"{n - 1} points tried: {', '.join(seen)}")
    assert len(ended) == 1
    assert seen.count("create_run") == 2 and seen.count("create_model_version") == 1


# --- what is logged -----------------------------------------------------------------------------


def test_candidate_is_logged_once_and_nested(
    any_registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Params, metrics, tags and artifacts are there, below the parent; a rerun adds nothing."""
    parent = any_registry.ensure_run(pins, "training", use_case, "training", {})
    run_id = any_registry.ensure_run(pins, "training/a", use_case, "boosting", {}, parent)
    for _ in range(2):
        any_registry.track_candidate(
            run_id,
            {"estimator": "Ridge", "model.alpha": 0.1, "refit": False, "rows": 1200},
            {"mae": 18.5, "r2": None, "rmse": float("nan")},
            {"rancast.table": "features/x"},
            {"plots/calibration.png": b"png", "report.html": b"<p>"},
            AT_MS,
        )
    run = any_registry._client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "estimator": "Ridge",
        "model.alpha": "0.1",
        "refit": "false",
        "rows": "1200",
    }
    assert run.data.metrics == {"mae": 18.5}
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.tags["mlflow.runName"] == "boosting"
    assert run.data.tags["rancast.table"] == "features/x"
    history = any_registry._client.get_metric_history(run_id, "mae")
    assert [row.timestamp for row in history] == [AT_MS]
    assert artifacts(any_registry, run_id) == {
        "plots/calibration.png": sha256(b"png"),
        "report.html": sha256(b"<p>"),
    }


def test_finished_candidate_is_not_logged_again(
    proxy_for: Callable[..., Proxy], pins: FilePins, use_case: str
) -> None:
    """The second time costs one request, and other content is logged again."""
    proxy = proxy_for()
    registry = Registry(proxy.url)
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry.track_candidate(run_id, {}, {"mae": 1.0}, {}, {}, AT_MS)
    before = len(proxy.requests)
    registry.track_candidate(run_id, {}, {"mae": 1.0}, {}, {}, AT_MS)
    assert len(proxy.requests) == before + 1
    registry.track_candidate(run_id, {}, {"mae": 1.0, "r2": 0.5}, {}, {}, AT_MS)
    assert registry._client.get_run(run_id).data.metrics == {"mae": 1.0, "r2": 0.5}


def test_tag_for_each_flow_run_is_added(registry: Registry, pins: FilePins, use_case: str) -> None:
    """A run that several flow runs used names them all."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    for number in (1, 2):
        registry.tag_run(run_id, {f"rancast.flow_run.{number}": "daily"})
    tags = registry._client.get_run(run_id).data.tags
    assert {"rancast.flow_run.1", "rancast.flow_run.2"} <= set(tags)


def test_deleted_run_that_is_pinned_comes_back(
    registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Somebody who deletes a run in the UI does not end up with two."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry._client.delete_run(run_id)
    assert registry.ensure_run(pins, "key", use_case, "boosting", {}) == run_id
    assert len(active_runs(registry, use_case)) == 1


def test_pinned_run_that_never_was_here_is_an_error(
    registry: Registry, pins: FilePins, use_case: str
) -> None:
    """A tracking URI of another server is noticed by what the ledger remembers."""
    pins.pin("mlflow/runs/key", {"run_id": "0" * 32})
    with pytest.raises(RegistryError, match="ledger/mlflow/runs/key.json.*MLFLOW_TRACKING_URI"):
        registry.ensure_run(pins, "key", use_case, "boosting", {})


@pytest.mark.parametrize(
    ("params", "tags", "content"),
    [
        ({"password": SECRET}, {}, {}),
        ({"model.password": SECRET}, {}, {}),
        ({"whatever": 1}, {}, {}),
        ({"dataset": f"postgres://user:{SECRET}@host/db"}, {}, {}),
        ({"dataset": f"AccountName=a;AccountKey={SECRET}abcdefghijkl=="}, {}, {}),
        ({}, {"rancast.lake": f"https://x.blob.core.windows.net/c?sig={SECRET}"}, {}),
        ({}, {"rancast.note": f"found {SECRET} there"}, {}),
        ({}, {"note": "not ours"}, {}),
        ({}, {}, {"log.txt": f"using {SECRET}".encode()}),
        ({}, {}, {"../log.txt": b"x"}),
    ],
)
def test_secrets_and_unknown_names_are_never_logged(
    params: dict[str, Any],
    tags: dict[str, str],
    content: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    registry: Registry,
) -> None:
    """What looks like a credential, or is one of ours, is refused before MLflow is asked."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    with pytest.raises(RegistryError) as error:
        registry.track_candidate("no run is needed", params, {}, tags, content, AT_MS)
    assert SECRET not in str(error.value)
    assert "does not exist" not in str(error.value)


def test_plotly_page_is_not_mistaken_for_a_secret(
    registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Megabytes of foreign JavaScript are no credential to the search for credentials."""
    from plotly.offline import get_plotlyjs

    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    page = get_plotlyjs().encode()
    registry.track_candidate(run_id, {}, {}, {}, {"importance.html": page}, AT_MS)


# --- models at rest -----------------------------------------------------------------------------


@pytest.fixture
def registered(any_registry: Registry, pins: FilePins, use_case: str, fitted: Fitted) -> str:
    """The run of a model that was logged, registered as version 1 and made champion."""
    run_id = any_registry.ensure_run(pins, "key", use_case, "boosting", {})
    any_registry.log_model(run_id, fitted.model, fitted.card, fitted.golden)
    assert any_registry.register(pins, use_case, "f1", run_id, {}) == 1
    any_registry.set_aliases(use_case, 1, None)
    return run_id


def test_outsiders_load_the_champion_by_its_alias(
    any_registry: Registry, registered: str, use_case: str, fitted: Fitted
) -> None:
    """MLflow alone serves the probabilities of our own bytes, with a signature and an example."""
    import mlflow

    mlflow.set_tracking_uri(any_registry.tracking_uri)
    try:
        model = mlflow.pyfunc.load_model(f"models:/{use_case}@champion")
        X = fitted.golden.drop(columns="prediction")
        probabilities = np.asarray(model.predict(X))[:, 1]
        np.testing.assert_array_equal(probabilities, fitted.golden["prediction"])
        assert model.metadata.get_input_schema().input_names() == list(fitted.card.features)
        assert model.input_example.shape == (5, 3)
        requirements = Path(mlflow.pyfunc.get_model_dependencies(f"models:/{use_case}@champion"))
    finally:
        mlflow.set_tracking_uri(None)
    pinned = requirements.read_text().split()
    assert all("==" in line for line in pinned)
    assert {line.split("==")[0] for line in pinned} >= {"scikit-learn", "skops", "numpy", "pandas"}


def test_downloaded_model_is_the_one_that_was_logged(
    any_registry: Registry, registered: str, use_case: str, fitted: Fitted
) -> None:
    """Bytes, card and golden rows come back exactly, and pass in a clean process."""
    stored = any_registry.download_model(use_case, 1, fitted.card.model_sha256)
    assert stored.model == fitted.model
    assert stored.card == fitted.card
    pd.testing.assert_frame_equal(stored.golden, fitted.golden, check_exact=True)
    verify_in_clean_process(*stored)


def test_model_files_are_the_same_each_time(
    any_registry: Registry, registered: str, fitted: Fitted
) -> None:
    """A model logged again, after a kill before it was recorded, replaces files by equal ones."""
    first = artifacts(any_registry, registered)
    assert first["model/model.skops"] == fitted.card.model_sha256
    any_registry._client.delete_tag(registered, "rancast.model_files")
    any_registry.log_model(registered, fitted.model, fitted.card, fitted.golden)
    assert artifacts(any_registry, registered) == first


def test_logged_model_is_not_uploaded_again(
    proxy_for: Callable[..., Proxy], pins: FilePins, use_case: str, fitted: Fitted
) -> None:
    """A run that has these files is asked once and left alone."""
    proxy = proxy_for()
    registry = Registry(proxy.url)
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry.log_model(run_id, fitted.model, fitted.card, fitted.golden)
    before = len(proxy.requests)
    registry.log_model(run_id, fitted.model, fitted.card, fitted.golden)
    assert len(proxy.requests) == before + 1


@pytest.mark.parametrize("name", ["model.skops", "card.json", "golden.json"])
def test_changed_file_is_refused_with_both_digests(
    name: str, any_registry: Registry, registered: str, use_case: str, fitted: Fitted
) -> None:
    """Whoever replaces an artifact, the model is not loaded."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(b"{}")
        any_registry._client.log_artifacts(registered, folder, "model")
    with pytest.raises(ModelRefused, match=rf"{name}.*version 1.*{sha256(b'{}')}.*recorded"):
        any_registry.download_model(use_case, 1, fitted.card.model_sha256)


def test_another_digest_than_the_ledgers_is_refused(
    registry: Registry, pins: FilePins, use_case: str, fitted: Fitted
) -> None:
    """The ledger's SHA-256 counts, whatever MLflow says of its own files."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry.log_model(run_id, fitted.model, fitted.card, fitted.golden)
    registry.register(pins, use_case, "f1", run_id, {})
    with pytest.raises(ModelRefused, match=f"{fitted.card.model_sha256}.*{'0' * 64}"):
        registry.download_model(use_case, 1, "0" * 64)


def test_model_other_than_its_card_is_not_logged(registry: Registry, fitted: Fitted) -> None:
    """Bytes that the card does not record are refused before MLflow is asked."""
    card = fitted.card.model_copy(update={"model_sha256": "0" * 64})
    with pytest.raises(ModelRefused, match="recorded was"):
        registry.log_model("no run is needed", fitted.model, card, fitted.golden)


def test_version_from_elsewhere_is_refused(
    registry: Registry, pins: FilePins, use_case: str, fitted: Fitted
) -> None:
    """A version whose source is somebody's bucket is not downloaded."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry._client.create_registered_model(use_case)
    registry._client.create_model_version(use_case, "s3://theirs/model", run_id)
    with pytest.raises(ModelRefused, match="s3://theirs/model, not below its run"):
        registry.download_model(use_case, 1, fitted.card.model_sha256)


def test_missing_version_is_an_error(registry: Registry, use_case: str) -> None:
    """A version that the ledger names and the registry lacks is named."""
    with pytest.raises(RegistryError, match=f"download {use_case} version 7.*not found"):
        registry.download_model(use_case, 7, "0" * 64)


def test_version_without_files_is_an_error(
    registry: Registry, pins: FilePins, use_case: str
) -> None:
    """MLflow does not check that a source exists; a download does."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    version = registry.register(pins, use_case, "f1", run_id, {})
    with pytest.raises(RegistryError, match=f"download {use_case} version 1"):
        registry.download_model(use_case, version, "0" * 64)


def test_clean_process_passes_the_reason_on(fitted: Fitted) -> None:
    """A model that gives other predictions than at its training is refused, with the numbers."""
    golden = fitted.golden.assign(prediction=fitted.golden["prediction"] + 0.01)
    with pytest.raises(ModelRefused, match="'boosting' failed in a clean process.*golden row"):
        verify_in_clean_process(fitted.model, fitted.card, golden)


def test_clean_process_sees_no_credentials(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither secrets nor the working directory reach the process that loads a model."""
    (tmp_path / "rancast.py").write_text("raise SystemExit('the working directory was imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    seen: dict[str, Any] = {}
    real = subprocess.run

    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.update(kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(subprocess, "run", spy)
    verify_in_clean_process(fitted.model, fitted.card, fitted.golden)
    assert SECRET not in str(seen["env"])


# --- versions and aliases -----------------------------------------------------------------------


def test_same_fingerprint_is_the_same_version(
    any_registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Registering again gives the version that is there; another model gets the next number."""
    run_id = any_registry.ensure_run(pins, "key", use_case, "boosting", {})
    tags = {"rancast.training_key": "t", "rancast.table": "features/x/manifest.json"}
    assert any_registry.register(pins, use_case, "f1", run_id, tags) == 1
    assert any_registry.register(pins, use_case, "f1", run_id, tags) == 1
    assert any_registry.register(pins, use_case, "f2", run_id, {}) == 2
    any_registry.tag_version(use_case, 1, {"rancast.decision": "keep"})
    found = any_registry._client.get_model_version(use_case, "1")
    assert found.run_id == run_id
    assert found.tags == {
        "rancast.fingerprint": "f1",
        "rancast.training_key": "t",
        "rancast.table": "features/x/manifest.json",
        "rancast.decision": "keep",
    }


def test_version_left_by_a_lost_ledger_write_is_adopted(
    registry: Registry, pins: FilePins, use_case: str, tmp_path: Path
) -> None:
    """A version whose registration was killed before its pin is found by its tag."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry.register(pins, use_case, "f1", run_id, {})
    (tmp_path / "empty").mkdir()
    assert registry.register(FilePins(tmp_path / "empty"), use_case, "f1", run_id, {}) == 1
    assert registry.register(pins, use_case, "f2", run_id, {}) == 2, "a number was used up"


def test_pinned_version_that_is_gone_is_an_error(
    registry: Registry, pins: FilePins, use_case: str
) -> None:
    """A version deleted by hand is not silently replaced by another number."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry.register(pins, use_case, "f1", run_id, {})
    registry._client.delete_model_version(use_case, "1")
    with pytest.raises(RegistryError, match=f"Version 1 of {use_case}, pinned in the lake"):
        registry.register(pins, use_case, "f1", run_id, {})


def test_aliases_follow_and_are_repaired(
    any_registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Both aliases are set, moved, repaired after somebody else's change, and taken away."""
    run_id = any_registry.ensure_run(pins, "key", use_case, "boosting", {})
    for number in (1, 2, 3):
        any_registry.register(pins, use_case, f"f{number}", run_id, {})
    assert any_registry.alias_of(use_case, "champion") is None
    any_registry.set_aliases(use_case, 1, None)
    assert any_registry.aliases(use_case) == {"champion": 1}
    any_registry.set_aliases(use_case, 2, 1)
    any_registry._client.set_registered_model_alias(use_case, "champion", "3")
    any_registry.set_aliases(use_case, 2, 1)
    assert any_registry.aliases(use_case) == {"champion": 2, "previous": 1}
    assert any_registry.alias_of(use_case, "champion") == 2
    any_registry.set_aliases(use_case, 1, None)
    assert any_registry.aliases(use_case) == {"champion": 1}


def test_eight_first_aliases_at_once_end_in_one(
    any_registry: Registry, pins: FilePins, use_case: str
) -> None:
    """Copies that set the same alias for the first time all succeed."""
    run_id = any_registry.ensure_run(pins, "key", use_case, "boosting", {})
    any_registry.register(pins, use_case, "f1", run_id, {})
    at_once(8, lambda _: any_registry.set_aliases(use_case, 1, None))
    assert any_registry.aliases(use_case) == {"champion": 1}


def test_alias_that_somebody_keeps_changing_is_an_error(
    registry: Registry, pins: FilePins, use_case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repair ends after a few attempts, with what is there and what should be."""
    run_id = registry.ensure_run(pins, "key", use_case, "boosting", {})
    registry.register(pins, use_case, "f1", run_id, {})
    monkeypatch.setattr(registry._client, "set_registered_model_alias", lambda *_: None)
    with pytest.raises(RegistryError, match=r"are \{\} after 5 attempts.*'champion': 1"):
        registry.set_aliases(use_case, 1, None)


# --- nobody there -------------------------------------------------------------------------------


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def stalled() -> Iterator[int]:
    """The port of a server that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield int(listener.getsockname()[1])


def test_dead_server_is_an_error_within_seconds(use_case: str) -> None:
    """The error names the setting and the address, not the password in it."""
    uri = f"http://operator:{SECRET}@127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(RegistryError) as error:
        Registry(uri).aliases(use_case)
    assert time.monotonic() - started < 10
    assert "MLFLOW_TRACKING_URI" in str(error.value)
    assert re.search(r"http://127\.0\.0\.1:\d+ did not read the aliases", str(error.value))
    assert SECRET not in str(error.value) and "operator" not in str(error.value)
    assert error.value.__cause__ is None and error.value.__suppress_context__


def test_stalled_server_is_given_up_on(
    stalled: int, use_case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts and says nothing is an error after all tries and the waits between."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    started = time.monotonic()
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI"):
        Registry(f"http://127.0.0.1:{stalled}").ensure_experiment(use_case)
    waits = time.monotonic() - started - 3 * 1
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert 3 * int(DEFAULTS["MLFLOW_HTTP_REQUEST_TIMEOUT"]) + waits < 30


class _Refusal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


def test_refused_credentials_name_their_settings(use_case: str) -> None:
    """A server that wants a login is not mistaken for one that is down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(RegistryError, match="access refused.*MLFLOW_TRACKING_USERNAME"):
            Registry(f"http://127.0.0.1:{server.server_port}").aliases(use_case)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("uri", ["postgresql://operator:{0}@127.0.0.1:1/db", "nonsense://x"])
def test_uri_that_cannot_be_used_is_an_error(uri: str, use_case: str) -> None:
    """A URI of an unknown kind, or whose driver is missing, is told without its password."""
    with pytest.raises(RegistryError) as error:
        Registry(uri.format(SECRET)).aliases(use_case)
    assert SECRET not in str(error.value)
