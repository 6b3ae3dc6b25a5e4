"""All of MLflow: runs, models at rest, versions and aliases, each made exactly once.

MLflow repeats every request whose reply was lost, creating included, and knows no compare-and-set.
So whatever is created carries its identity as a tag, is searched for before and after, and is
pinned in the ledger (put-if-absent): all callers adopt the pinned one, and delete the others.

Models are plain artifacts of their run (`runs:/RUN/model`), not MLflow 3's LoggedModel entities.
Uploading a file again replaces it by itself, while `log_model` makes a new entity with a new id
and a folder of its own at each call and each repeated request, of which no search by our own
identity could be atomic. Loading by `models:/NAME@champion`, signature, input example and the
registry's pages work as well without them.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version as installed_version
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import pandas as pd
import yaml

from rancast import models
from rancast.documents import canonical_json, sha256
from rancast.errors import ModelRefused, RegistryError, RegistryUnreachable
from rancast.frames import to_parquet
from rancast.models import ModelCard
from rancast.redaction import looks_secret
from tasks.environment import DEFAULTS
from tasks.redaction import known_secrets, scrub

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

SETTING = "MLFLOW_TRACKING_URI"
KEY_TAG = "rancast.key"
DIGEST_TAG = "rancast.digest"
FILES_TAG = "rancast.model_files"
FINGERPRINT_TAG = "rancast.fingerprint"
MODEL_FOLDER = "model"
MODEL_FILE, CARD_FILE, GOLDEN_FILE = "model.skops", "card.json", "golden.json"
DESCRIPTION_FILE = "MLmodel"
REQUIREMENTS = ("scikit-learn", "skops", "numpy", "pandas", "scipy")
ALIAS_ATTEMPTS = 5
INPUT_EXAMPLE_ROWS = 5
VERIFY_SECONDS = 120

# Params are for people to compare runs by, and can never be taken back: names on this list only,
# and estimator parameters as `model.NAME`.
LOGGABLE_PARAMS = frozenset("""
    candidate code configuration dataset embargo end entity estimator features folds history
    holdout holdout_end holdout_start horizon impute metric problem promotion refit rows scale
    search_iterations search_rows seed selected start table target threshold train_end train_start
    training_key use_case
    """.split())
MODEL_PARAM = re.compile(r"model\.[A-Za-z0-9_.]+")
OUR_TAG = re.compile(r"(rancast|mlflow)\.[A-Za-z0-9_./-]+")
# what the clean process may see of our environment: enough to start Python, and no credential
CLEAN_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")


class Pins(Protocol):
    """The two calls of the ledger that make things happen once."""

    def pin(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Put a value if absent; return the one that is there."""
        ...

    def pinned(self, name: str) -> dict[str, Any] | None:
        """Return the value that is there, None where there is none."""
        ...


class StoredModel(NamedTuple):
    """One registered version as downloaded and checked: its bytes, its card, its golden rows."""

    model: bytes
    card: ModelCard
    golden: pd.DataFrame


class RegisteredVersion(NamedTuple):
    """One registered version as people compare them: its tags, and the metrics of its run."""

    version: int
    tags: dict[str, str]
    metrics: dict[str, float]


class Registry:
    """MLflow's tracking server and model registry at one URI, a server's or SQLite's.

    Every method raises RegistryError that names the setting where MLflow does not answer (within
    30 s by the default timeouts) or refuses. Credentials are read by MLflow itself, from
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and never show in an error.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    # --- experiments and runs -------------------------------------------------------------------

    def ensure_experiment(self, use_case: str) -> str:
        """Return the id of the experiment named as the use case, made where there is none."""
        with self._asking(f"make the experiment {use_case!r}"):
            found = self._client.get_experiment_by_name(use_case)
            if found is None:
                self._tolerate(
                    "RESOURCE_ALREADY_EXISTS",
                    lambda: self._client.create_experiment(use_case, self._artifacts(use_case)),
                )
                found = self._client.get_experiment_by_name(use_case)
        if found is None or found.lifecycle_stage != "active":
            raise RegistryError(
                f"The experiment {use_case!r} at {self.place} is deleted; restore it in the MLflow "
                "UI, or rename the deleted one, and run again."
            )
        return str(found.experiment_id)

    def ensure_run(
        self,
        pins: Pins,
        key: str,
        experiment: str,
        name: str,
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> str:
        """Return the id of the one run of `key` in an experiment, made where there is none.

        `parent` is the id of the run that it is nested in. Other active runs of the same key, left
        by a lost reply or a lost race, are deleted.
        """
        wanted = {**tags, KEY_TAG: _plain(key), "mlflow.user": "rancast"}
        if parent is not None:
            wanted["mlflow.parentRunId"] = parent
        _check_tags(wanted)
        experiment_id = self.ensure_experiment(experiment)
        place = f"mlflow/runs/{key}"
        with self._asking(f"make the run {name!r}"):
            pinned = pins.pinned(place)
            if pinned is None:
                found = self._runs_of(experiment_id, key)
                if not found:
                    run = self._client.create_run(experiment_id, tags=wanted, run_name=name)
                    found = self._runs_of(experiment_id, key) or [str(run.info.run_id)]
                pinned = pins.pin(place, {"run_id": found[0]})
            run_id = str(pinned["run_id"])
            self._restore_run(run_id, place)
            for other in self._runs_of(experiment_id, key):
                if other != run_id:
                    self._client.delete_run(other)  # no error if somebody else did
        return run_id

    def track_candidate(
        self,
        run_id: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float | None],
        tags: Mapping[str, str],
        artifacts: Mapping[str, bytes],
        at_ms: int,
    ) -> None:
        """Log what a run is known by, and finish it; a run that has it already is left alone.

        Metrics get the time `at_ms` (ms since 1970), so that a rerun writes the rows that are
        there; those that are None or not finite are left out. `artifacts` maps a path below the run
        to its content. Raises RegistryError for a param that is not on `LOGGABLE_PARAMS`, for
        whatever looks like a secret, and for a param that the run has with another value.
        """
        values = {name: _text(value) for name, value in sorted(params.items())}
        known = {name: float(v) for name, v in sorted(metrics.items()) if v is not None}
        known = {name: value for name, value in known.items() if isfinite(value)}
        _check_params(values)
        _check_tags(tags)
        _check_artifacts(artifacts)
        contents = {path: sha256(data) for path, data in artifacts.items()}
        digest = sha256(canonical_json([values, known, dict(tags), contents, at_ms]))
        with self._asking(f"log to the run {run_id}"):
            run = self._client.get_run(run_id)
            if run.info.status == "FINISHED" and run.data.tags.get(DIGEST_TAG) == digest:
                return
            self._log_batch(run_id, values, known, tags, at_ms)
            self._upload(run_id, artifacts)
            self._set(lambda: self._client.set_tag(run_id, DIGEST_TAG, digest))
            self._client.set_terminated(run_id, "FINISHED")

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Add tags to a run, such as one for each flow run that used it."""
        _check_tags(tags)
        with self._asking(f"tag the run {run_id}"):
            self._log_batch(run_id, {}, {}, tags, 0)

    # --- models at rest -------------------------------------------------------------------------

    def log_model(self, run_id: str, model: bytes, card: ModelCard, golden: pd.DataFrame) -> None:
        """Put a model below its run as an MLflow model that loads without this project.

        `model.skops` is byte for byte `model`. Beside it lie `card.json` (threshold, features,
        training end) and `golden.json` (rows [*features, prediction]). As an MLflow model it
        predicts the probability of each class, or the value. A run that has these very files is
        left alone. Raises ModelRefused where the bytes are not those that the card records.
        """
        estimator = models.load(model, card.model_sha256)
        beside = {CARD_FILE: canonical_json(card), GOLDEN_FILE: _golden_json(golden, card)}
        contents = {MODEL_FILE: model, **beside}
        record = canonical_json({name: sha256(data) for name, data in contents.items()}).decode()
        with self._asking(f"log the model of the run {run_id}"):
            run = self._client.get_run(run_id)
            if run.data.tags.get(FILES_TAG) == record:
                return
            with tempfile.TemporaryDirectory(prefix="rancast-model-") as folder:
                path = Path(folder) / MODEL_FOLDER
                self._save_model(estimator, card, golden, run, path)
                # our bytes are the ones that were evaluated and pinned; a second dump differs
                for name, data in contents.items():
                    (path / name).write_bytes(data)
                self._client.log_artifacts(run_id, str(path), MODEL_FOLDER)
            self._set(lambda: self._client.set_tag(run_id, FILES_TAG, record))

    def download_model(self, use_case: str, version: int, model_sha256: str) -> StoredModel:
        """Return a version's model, card and golden rows, with every digest checked.

        Raises ModelRefused, naming both digests, where the model's bytes or the files beside it
        are not those recorded, and RegistryError where the version or a file does not exist.
        """
        with self._asking(f"download {use_case} version {version}"):
            found = self._client.get_model_version(use_case, str(version))
            run = self._client.get_run(str(found.run_id))
            self._check_source(found, run)
            with tempfile.TemporaryDirectory(prefix="rancast-model-") as folder:
                contents = {
                    name: self._download(run.info.run_id, f"{MODEL_FOLDER}/{name}", folder)
                    for name in (MODEL_FILE, CARD_FILE, GOLDEN_FILE)
                }
        recorded = {**json.loads(run.data.tags.get(FILES_TAG, "{}")), MODEL_FILE: model_sha256}
        for name, data in contents.items():
            if sha256(data) != recorded.get(name):
                raise ModelRefused(
                    f"{name} of {use_case} version {version} has SHA-256 {sha256(data)}, recorded "
                    f"is {recorded.get(name)}; restore the artifact at {self.place}, or train "
                    "again."
                )
        card = ModelCard.model_validate_json(contents[CARD_FILE])
        return StoredModel(contents[MODEL_FILE], card, _golden_frame(contents[GOLDEN_FILE], card))

    # --- versions and aliases -------------------------------------------------------------------

    def register(
        self, pins: Pins, use_case: str, fingerprint: str, run_id: str, tags: Mapping[str, str]
    ) -> int:
        """Return the one version of `fingerprint`, registered from its run where there is none.

        The registered model is named as the use case. Other versions with the same fingerprint,
        left by a lost reply or a lost race, are deleted; their numbers are not used again.
        """
        wanted = {**tags, FINGERPRINT_TAG: fingerprint}
        _check_tags(wanted)
        with self._asking(f"register {use_case} {fingerprint[:12]}"):
            place = f"mlflow/versions/{use_case}/{fingerprint}"
            pinned = pins.pinned(place)
            if pinned is None:
                found = self._versions_of(use_case, fingerprint) or self._create_version(
                    use_case, fingerprint, run_id, wanted
                )
                pinned = pins.pin(place, {"version": found[0]})
            version = int(pinned["version"])
            found = self._versions_of(use_case, fingerprint)
            if version not in found:
                raise RegistryError(
                    f"Version {version} of {use_case}, pinned in the lake as ledger/{place}.json, "
                    f"is not in the registry at {self.place}; point {SETTING} at the registry that "
                    "holds it, or remove that ledger entry to register the model again."
                )
            for other in found:
                if other != version:
                    self._delete_version(use_case, other)
        return version

    def tag_version(self, use_case: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version, such as the decision on it."""
        _check_tags(tags)
        with self._asking(f"tag {use_case} version {version}"):
            for name, value in sorted(tags.items()):
                given = (use_case, str(version), name, value)
                self._set(lambda: self._client.set_model_version_tag(*given))

    def tags_of(self, use_case: str, version: int) -> dict[str, str] | None:
        """Return the tags of a version, None where there is no such version."""
        with self._asking(f"read {use_case} version {version}"):
            found = self._tolerate(
                "RESOURCE_DOES_NOT_EXIST",
                lambda: self._client.get_model_version(use_case, str(version)),
            )
        return None if found is None else dict(found.tags)

    def versions(self, use_case: str) -> tuple[RegisteredVersion, ...]:
        """Return every version of a model, the lowest first, with its tags and metrics."""
        with self._asking(f"read the versions of {use_case}"):
            found = self._client.search_model_versions(f"name = '{use_case}'")
            runs = {item.version: self._client.get_run(str(item.run_id)).data for item in found}
        read = (
            RegisteredVersion(
                int(item.version), dict(item.tags), dict(sorted(runs[item.version].metrics.items()))
            )
            for item in found
        )
        return tuple(sorted(read, key=lambda one: one.version))

    def fingerprint_of(self, use_case: str, version: int) -> str | None:
        """Return the fingerprint that a version carries, None where there is no such version."""
        return (self.tags_of(use_case, version) or {}).get(FINGERPRINT_TAG)

    def inputs_of(self, use_case: str, version: int) -> tuple[str, ...]:
        """Return the names of the inputs by the signature of a version's MLflow model, in order.

        Raises ModelRefused where the model's description has no signature that can be read.
        """
        with (
            self._asking(f"read the signature of {use_case} version {version}"),
            tempfile.TemporaryDirectory(prefix="rancast-model-") as folder,
        ):
            found = self._client.get_model_version(use_case, str(version))
            data = self._download(str(found.run_id), f"{MODEL_FOLDER}/{DESCRIPTION_FILE}", folder)
        try:
            inputs = json.loads(yaml.safe_load(data)["signature"]["inputs"])
            return tuple(str(item["name"]) for item in inputs)
        except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
            raise ModelRefused(
                f"{DESCRIPTION_FILE} of {use_case} version {version} has no signature that can be "
                f"read ({type(error).__name__}); restore the artifact at {self.place}, or train "
                "again."
            ) from error

    def aliases(self, use_case: str) -> dict[str, int]:
        """Return alias -> version; empty where a registry that answered holds nothing."""
        with self._asking(f"read the aliases of {use_case}"):
            model = self._tolerate(
                "RESOURCE_DOES_NOT_EXIST", lambda: self._client.get_registered_model(use_case)
            )
        return {} if model is None else {name: int(v) for name, v in sorted(model.aliases.items())}

    def alias_of(self, use_case: str, alias: str) -> int | None:
        """Return the version under an alias, None where there is none."""
        return self.aliases(use_case).get(alias)

    def set_aliases(self, use_case: str, champion: int, previous: int | None) -> None:
        """Point the aliases `champion` and `previous` at these versions, and see that they do.

        The ledger says which these are; the aliases follow it, for outsiders. MLflow lets the last
        writer win, so they are read again and repaired. Raises RegistryError where they do not
        hold.
        """
        wanted = {"champion": champion, "previous": previous}
        for _ in range(ALIAS_ATTEMPTS):
            held = self.aliases(use_case)
            lagging = {name: v for name, v in wanted.items() if held.get(name) != v}
            if not lagging:
                return
            with self._asking(f"set the aliases of {use_case}"):
                for name, version in lagging.items():
                    self._set_alias(use_case, name, version)
        raise RegistryError(
            f"The aliases of {use_case} at {self.place} are {self.aliases(use_case)} after "
            f"{ALIAS_ATTEMPTS} attempts to make them {wanted}; somebody else keeps setting them."
        )

    def links(self, use_case: str, version: int, run_id: str, ui_url: str = "") -> dict[str, str]:
        """Return where a person can look at a version and its run, title -> URL.

        `ui_url` is where browsers find MLflow, if that is not the tracking URI. Empty where MLflow
        is a database, which has no pages.
        """
        if self._database is not None:
            return {}
        with self._asking(f"read the run {run_id}"):
            experiment = self._client.get_run(run_id).info.experiment_id
        pages = f"{ui_url.rstrip('/') or self.place}/#"
        model = f"{pages}/models/{use_case}/versions/{version}"
        return {
            f"MLflow: {use_case} version {version}": model,
            "MLflow: its training, with plots": f"{pages}/experiments/{experiment}/runs/{run_id}",
        }

    # --- how MLflow is asked --------------------------------------------------------------------

    @property
    def place(self) -> str:
        """The tracking URI as errors may show it: without user, password and query."""
        return _without_credentials(self.tracking_uri)

    @cached_property
    def _client(self) -> "MlflowClient":
        for name, value in DEFAULTS.items():
            if name.startswith(("MLFLOW_", "DO_NOT_TRACK")):
                os.environ.setdefault(name, value)
        # nothing of MLflow's own on the standard output, which is ours
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        database = self._database
        if database is None:
            return MlflowClient(self.tracking_uri, self.tracking_uri)
        from filelock import FileLock

        database.parent.mkdir(parents=True, exist_ok=True)
        # measured: of five processes that migrate a new database at once, one succeeds
        with FileLock(f"{database}.lock"):
            client = MlflowClient(self.tracking_uri, self.tracking_uri)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        return client

    @property
    def _database(self) -> Path | None:
        prefix = "sqlite:///"
        uri = self.tracking_uri
        return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None

    def _artifacts(self, use_case: str) -> str | None:
        """Return where an experiment's artifacts lie: beside the database, or where a server says.

        MLflow's own default for a database is a folder of the working directory.
        """
        database = self._database
        return (
            None
            if database is None
            else (database.resolve().parent / "artifacts" / use_case).as_uri()
        )

    @contextmanager
    def _asking(self, action: str) -> Iterator[None]:
        """Turn what MLflow raises into one sentence without credentials."""
        # requests and sqlalchemy raise their own in places, ImportError is a missing driver
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, RequestException, SQLAlchemyError, OSError, ImportError) as error:
            # the chained traceback would show what was taken out of the sentence
            raise self._explained(error, action) from None

    def _explained(self, error: Exception, action: str) -> RegistryError:
        text = scrub(" ".join(str(error).split()).replace(self.tracking_uri, self.place))
        code = getattr(error, "error_code", None)
        if code in ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
            return RegistryError(
                f"MLflow at {self.place} did not {action}: access refused ({text[:300]}); set "
                f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for {SETTING}."
            )
        if code is None or re.search("failed with (timeout )?exception", text):
            # of a request's many wrappings, the innermost says what happened
            cause = text.rpartition("Caused by ")[2].rstrip(")'\"")
            return RegistryUnreachable(
                f"MLflow at {self.place} did not {action}: no usable answer ({cause[:300]}); see "
                f"that it runs, or correct {SETTING}."
            )
        return RegistryError(f"MLflow at {self.place} did not {action}: {text[:500]} ({code}).")

    @staticmethod
    def _tolerate(code: str, call: Callable[[], Any]) -> Any:
        """Return what `call` returns; None where MLflow answers with the error `code`."""
        from mlflow.exceptions import MlflowException

        try:
            return call()
        except MlflowException as error:
            if error.error_code != code:
                raise
            return None

    @staticmethod
    def _set(call: Callable[[], Any]) -> None:
        """Call what sets values; once more where somebody else was first, and it is there now.

        Measured: of many who set a tag or a param for the first time at once, one gets BAD_REQUEST.
        """
        from mlflow.exceptions import MlflowException

        try:
            call()
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST":
                raise
            call()

    # --- single calls ---------------------------------------------------------------------------

    def _runs_of(self, experiment_id: str, key: str) -> list[str]:
        """Return the ids of the active runs of a key, the oldest first."""
        runs = self._client.search_runs(
            [experiment_id], f"tags.`{KEY_TAG}` = '{key}'", order_by=["attributes.start_time ASC"]
        )
        ordered = sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))
        return [str(run.info.run_id) for run in ordered]

    def _restore_run(self, run_id: str, place: str) -> None:
        run = self._tolerate("RESOURCE_DOES_NOT_EXIST", lambda: self._client.get_run(run_id))
        if run is None:
            raise RegistryError(
                f"The run {run_id}, pinned in the lake as ledger/{place}.json, does not exist at "
                f"{self.place}; point {SETTING} at the server that holds it, or remove that ledger "
                "entry to log the run again."
            )
        if run.info.lifecycle_stage == "deleted":
            self._client.restore_run(run_id)

    def _log_batch(
        self,
        run_id: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        at_ms: int,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        given = (
            [Metric(name, value, at_ms, 0) for name, value in sorted(metrics.items())],
            [Param(name, value) for name, value in sorted(params.items())],
            [RunTag(name, value) for name, value in sorted(tags.items())],
        )
        self._set(lambda: self._client.log_batch(run_id, *given))

    def _upload(self, run_id: str, artifacts: Mapping[str, bytes]) -> None:
        if not artifacts:
            return
        with tempfile.TemporaryDirectory(prefix="rancast-artifacts-") as folder:
            for name, data in sorted(artifacts.items()):
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._client.log_artifacts(run_id, folder)

    def _download(self, run_id: str, path: str, folder: str) -> bytes:
        return Path(self._client.download_artifacts(run_id, path, folder)).read_bytes()

    def _versions_of(self, use_case: str, fingerprint: str) -> list[int]:
        """Return the versions that carry a fingerprint, the lowest first."""
        wanted = f"name = '{use_case}' and tags.`{FINGERPRINT_TAG}` = '{fingerprint}'"
        return sorted(int(item.version) for item in self._client.search_model_versions(wanted))

    def _create_version(
        self, use_case: str, fingerprint: str, run_id: str, tags: Mapping[str, str]
    ) -> list[int]:
        """Create a version and return all of its fingerprint, since there may be several now."""
        from mlflow.exceptions import MlflowException

        self._tolerate(
            "RESOURCE_ALREADY_EXISTS", lambda: self._client.create_registered_model(use_case)
        )
        run = self._client.get_run(run_id)
        source = _model_source(run)
        try:
            self._client.create_model_version(
                use_case, source, run_id, dict(tags), await_creation_for=0
            )
        except MlflowException:
            # the server gives up after three lost races for a number; the winner may be our own
            found = self._versions_of(use_case, fingerprint)
            if not found:
                raise
            return found
        return self._versions_of(use_case, fingerprint)

    def _delete_version(self, use_case: str, version: int) -> None:
        """Delete a version that lost; somebody else may do so at the same time."""
        self._tolerate(
            "RESOURCE_DOES_NOT_EXIST",
            lambda: self._client.delete_model_version(use_case, str(version)),
        )

    def _check_source(self, version: "ModelVersion", run: "Run") -> None:
        """Refuse a version whose source lies elsewhere than below its run: anybody may set it."""
        if version.source != _model_source(run):
            raise ModelRefused(
                f"{version.name} version {version.version} has its source at "
                f"{_without_credentials(str(version.source))}, not below its run "
                f"{run.info.run_id}; it was not registered by rancast, and is not loaded."
            )

    def _set_alias(self, use_case: str, alias: str, version: int | None) -> None:
        if version is None:
            self._client.delete_registered_model_alias(use_case, alias)
            return
        # measured: of many who set an alias for the first time at once, one gets BAD_REQUEST
        self._tolerate(
            "BAD_REQUEST",
            lambda: self._client.set_registered_model_alias(use_case, alias, str(version)),
        )

    def _save_model(
        self,
        estimator: Any,
        card: ModelCard,
        golden: pd.DataFrame,
        run: "Run",
        path: Path,
    ) -> None:
        """Write an MLflow model folder, the same bytes each time apart from `model.skops`."""
        from mlflow import sklearn
        from mlflow.models import Model, infer_signature
        from skops import io

        is_classification = card.problem == "classification"
        example = models.inputs(golden, card.features, card.categories)
        predict = estimator.predict_proba if is_classification else estimator.predict
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC).replace(tzinfo=None)
        sklearn.save_model(
            estimator,
            str(path),
            mlflow_model=Model(
                artifact_path=MODEL_FOLDER,
                run_id=run.info.run_id,
                utc_time_created=started,
                model_uuid=card.model_sha256[:32],
            ),
            serialization_format="skops",
            skops_trusted_types=sorted(io.get_untrusted_types(data=io.dumps(estimator))),
            signature=infer_signature(example, predict(example)),
            input_example=example.head(INPUT_EXAMPLE_ROWS),
            pip_requirements=[f"{name}=={installed_version(name)}" for name in REQUIREMENTS],
            pyfunc_predict_fn="predict_proba" if is_classification else "predict",
            metadata={"rancast": {"candidate": card.candidate, "threshold": card.threshold}},
        )


def verify_in_clean_process(model: bytes, card: ModelCard, golden: pd.DataFrame) -> None:
    """Load a model by our own loader in a new Python and have it reproduce its golden rows.

    The process sees no credentials, and no module that this one has imported or changed. Raises
    ModelRefused with what it said, or that it did not end within 120 s.
    """
    with tempfile.TemporaryDirectory(prefix="rancast-verify-") as folder:
        paths = [Path(folder) / name for name in (MODEL_FILE, "golden.parquet", CARD_FILE)]
        for path, data in zip(
            paths, (model, to_parquet(golden), canonical_json(card)), strict=True
        ):
            path.write_bytes(data)
        environment = {name: os.environ[name] for name in CLEAN_ENVIRONMENT if name in os.environ}
        # the same code as ours, wherever this process was started
        environment["PYTHONPATH"] = str(Path(models.__file__).parents[1])
        try:
            done = subprocess.run(
                [sys.executable, "-m", "rancast.models", *map(str, paths)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=VERIFY_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise ModelRefused(
                f"The model of candidate {card.candidate!r} was not loaded within {VERIFY_SECONDS} "
                "s in a clean process; look at the load of this machine, or take a smaller model."
            ) from None
    if done.returncode != 0:
        said = done.stderr.strip()[-2000:] or f"exit code {done.returncode}"
        raise ModelRefused(
            f"The model of candidate {card.candidate!r} failed in a clean process: {said}"
        )


# --- what may be logged -------------------------------------------------------------------------


def _check_params(params: Mapping[str, str]) -> None:
    for name, value in params.items():
        if name not in LOGGABLE_PARAMS and not MODEL_PARAM.fullmatch(name):
            raise RegistryError(
                f"The param {name!r} is not on the list of those that are logged; log it as "
                "model.NAME if it is the estimator's, or add it to LOGGABLE_PARAMS in "
                "tasks/registry.py."
            )
        _refuse_secret(f"the param {name!r}", name, value.encode())


def _check_tags(tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        if not OUR_TAG.fullmatch(name):
            raise RegistryError(f"The tag {name!r} is not ours; name it rancast.SOMETHING.")
        _refuse_secret(f"the tag {name!r}", name, value.encode())


def _check_artifacts(artifacts: Mapping[str, bytes]) -> None:
    for name, data in artifacts.items():
        if not re.fullmatch(r"[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*", name) or ".." in name:
            raise RegistryError(
                f"The artifact {name!r} cannot be a path below a run; use letters, digits and /."
            )
        _refuse_secret(f"the artifact {name!r}", name, data)


def _refuse_secret(what: str, name: str, value: bytes) -> None:
    if looks_secret(name, value, known_secrets()):
        raise RegistryError(
            f"{what[0].upper()}{what[1:]} looks like a credential, and is not logged: whatever "
            "MLflow holds can be read by all its users; take it out of the use case."
        )


def _without_credentials(uri: str) -> str:
    parts = urlsplit(uri)
    if not parts.netloc:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


# --- forms --------------------------------------------------------------------------------------


def _plain(key: str) -> str:
    """Return a key that may stand in a search and in a name of the ledger."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", key):
        raise RegistryError(f"The run key {key!r} may hold letters, digits, _ . - and / only.")
    return key


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode()


def _model_source(run: "Run") -> str:
    return f"{run.info.artifact_uri}/{MODEL_FOLDER}"


def _golden_json(golden: pd.DataFrame, card: ModelCard) -> bytes:
    """Write golden rows as JSON that reads back exactly: a float's shortest form is its own."""
    columns = [*card.features, "prediction"]
    cells = golden[columns].astype(object)
    rows = cells.where(cells.notna(), None).to_numpy().tolist()
    return canonical_json({"columns": columns, "rows": rows})


def _golden_frame(data: bytes, card: ModelCard) -> pd.DataFrame:
    content = json.loads(data)
    types = {name: "str" if name in card.categories else "float64" for name in content["columns"]}
    return pd.DataFrame(content["rows"], columns=content["columns"]).astype(types)
