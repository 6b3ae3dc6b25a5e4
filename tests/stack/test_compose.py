"""docker-compose.yml, its image and its secrets, read as Docker's own compose reads them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deployments import stack
from tests.servers import CHECKOUT
from tests.stack import compose

FILE = CHECKOUT / "docker-compose.yml"
ASKED = stack.missing(Path("/nowhere"))
ONE_SHOTS = {"provision", "registry-user", "deploy", "certificates"}
FOLDERS = ("datasets", "expectations", "use_cases", "hierarchies")
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .env with every secret that the file asks for."""
    path = tmp_path_factory.mktemp("compose") / ".env"
    path.write_text("\n".join(f"{name}={stack.new_value(name)}" for name in ASKED))
    return path


@pytest.fixture(scope="module")
def services(secrets: Path) -> dict[str, dict[str, Any]]:
    """Every service, that of the profile included, as compose understands it."""
    return compose.read(secrets, ["scale"])


# --- the schema ---------------------------------------------------------------------------------


def test_compose_takes_the_file(secrets: Path) -> None:
    """The file satisfies the schema and the rules of the program that will run it."""
    plain = set(compose.read(secrets))
    assert plain | {"certificates", "dask-scheduler", "dask-worker"} == set(
        compose.read(secrets, ["scale"])
    )
    assert "dask-worker" not in plain


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("read_only: true", "read_onyl: true", "read_onyl"),
        ("interval: 10s", "interval: soon", "duration|interval"),
        ('volumes: ["blobs:/blobs"]', 'volumes: ["blob:/blobs"]', "undefined volume blob"),
        ("azurite: {condition: service_healthy}", "azurit: {condition: service_healthy}", "azurit"),
    ],
)
def test_compose_refuses_what_is_wrong(
    old: str, new: str, words: str, secrets: Path, tmp_path: Path
) -> None:
    """The check sees a typo in a key, a value, a volume and a service."""
    text = FILE.read_text()
    assert old in text
    (tmp_path / "docker-compose.yml").write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=words):
        compose.config(tmp_path / "docker-compose.yml", secrets)


@pytest.mark.parametrize("name", ASKED)
def test_a_missing_secret_is_named(name: str, secrets: Path, tmp_path: Path) -> None:
    """Nothing starts with an empty password: compose names the variable and what to do."""
    lines = secrets.read_text().splitlines()
    for present in ([], [f"{name}="]):
        kept = [line for line in lines if not line.startswith(f"{name}=")]
        (tmp_path / ".env").write_text("\n".join(kept + present))
        with pytest.raises(ValueError, match=f"{name} is missing a value: .*make env"):
            compose.read(tmp_path / ".env")


# --- what a container may -----------------------------------------------------------------------


def test_every_container_is_hardened(services: dict[str, dict[str, Any]]) -> None:
    """No container is root, gains rights, keeps capabilities, or writes outside of its volumes."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert service["pids_limit"] and "privileged" not in service, name
        assert "docker.sock" not in str(service.get("volumes")), name


def test_nothing_listens_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    """Every published port is one of loopback; Postgres and Dask are not published at all."""
    ports = {
        (name, port["published"]): port.get("host_ip")
        for name, service in services.items()
        for port in service.get("ports", [])
    }
    assert set(ports.values()) == {"127.0.0.1"}
    assert {name for name, _ in ports} == {"azurite", "prefect", "mlflow", "exporter"}


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    """Each image has a version; ours is this project's, Azurite's that of the tests."""
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    azurite = re.findall(r'"azurite": ?"(.+?)"', (CHECKOUT / "package.json").read_text())[0]
    images = {service["image"] for service in services.values()}
    assert images == {f"rancast:{version}", f"rancast-azurite:{azurite}", "postgres:18.6-trixie"}
    dockerfile = (CHECKOUT / "deployments" / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)
    assert all(re.search(r":\d+\.\d+\.\d+(-|$)", base) for base in bases)
    assert f"mcr.microsoft.com/azure-storage/azurite:{azurite}" in bases


def test_the_image_is_built_from_the_lock_and_runs_as_nobody() -> None:
    """Libraries come by digest and as wheels, and no stage ends as root."""
    dockerfile = (CHECKOUT / "deployments" / "Dockerfile").read_text()
    assert "pip install --require-hashes --only-binary=:all: -r requirements.txt" in dockerfile
    steps = re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE)
    shipped = [
        stage
        for stage in re.split(r"^FROM ", steps, flags=re.MULTILINE)
        if " AS build" not in stage
    ]
    assert len(shipped) == 3  # with what stands before the first
    for stage in shipped[1:]:
        assert stage.rstrip().splitlines()[-1] == "USER 10001:10001"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, flags=re.MULTILINE)
    ignored = (CHECKOUT / ".dockerignore").read_text()
    for source in " ".join(copied).split():
        assert (CHECKOUT / source).exists(), source
        assert f"!{source.split('/')[0]}\n" in ignored, source


def test_servers_have_health_checks_limits_and_a_restart(
    services: dict[str, dict[str, Any]],
) -> None:
    """What runs on is watched, bounded and started again; what runs once is not."""
    for name, service in services.items():
        runs_once = name in ONE_SHOTS
        assert (service["restart"] == "no") is runs_once, name
        assert ("healthcheck" in service) is not runs_once, name
        assert ("mem_limit" in service) is not runs_once, name


def test_everything_starts_when_what_it_needs_is_there(
    services: dict[str, dict[str, Any]],
) -> None:
    """Nobody waits for a mere start, and `up --wait` ends: somebody waits for each one-shot."""
    waits = [
        (name, on, wait["condition"])
        for name, service in services.items()
        for on, wait in (service.get("depends_on") or {}).items()
    ]
    for _, on, condition in waits:
        finished = "service_completed_successfully"
        assert condition == (finished if on in ONE_SHOTS else "service_healthy")
    assert ONE_SHOTS <= {on for _, on, _ in waits}


def test_data_is_in_named_volumes(services: dict[str, dict[str, Any]]) -> None:
    """What must outlive a container has a name; of the host only the home's folders are seen,
    all of them by each container of ours that reads a dataset."""
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    named = {mount["source"] for mount in mounts if mount["type"] == "volume"}
    assert named == {"postgres", "blobs", "prefect", "certificates"}
    binds = {Path(mount["source"]).name for mount in mounts if mount["type"] == "bind"}
    assert binds == set(FOLDERS)
    for name in ("deploy", "worker", "dask-worker"):
        targets = {mount["target"] for mount in services[name]["volumes"]}
        assert targets >= {f"/srv/home/{folder}" for folder in FOLDERS}, name
    assert all(mount["read_only"] for mount in mounts if mount["type"] == "bind")


@pytest.mark.parametrize("file", ["Dockerfile", "work-pool-docker.json"])
def test_containers_have_a_place_for_each_folder_of_the_home(file: str) -> None:
    """The image, and what the Docker pool says of volumes, know every folder of a home."""
    text = (CHECKOUT / "deployments" / file).read_text()
    example = (CHECKOUT / ".env.example").read_text()
    for name in FOLDERS:
        assert (CHECKOUT / name).is_dir() and name in text and f"{name}/" in example


# --- secrets ------------------------------------------------------------------------------------


def test_no_secret_stands_in_a_command(services: dict[str, dict[str, Any]], secrets: Path) -> None:
    """Whoever may list processes learns nothing, and each container knows only what it needs."""
    values = dict(line.split("=", 1) for line in secrets.read_text().splitlines())
    holders: dict[str, set[str]] = {name: set() for name in values}
    for name, service in services.items():
        shown = str([service["command"], service.get("healthcheck")])
        assert not [secret for secret, value in values.items() if value in shown], name
        for secret, value in values.items():
            if value in str(service.get("environment")):
                holders[secret].add(name)
    assert holders["STACK_POSTGRES_PASSWORD"] == {"postgres", "provision"}
    assert holders["STACK_PREFECT_DATABASE_PASSWORD"] == {"provision", "prefect"}
    assert holders["STACK_MLFLOW_ADMIN_PASSWORD"] == {"mlflow", "registry-user"}
    assert holders["STACK_MLFLOW_SECRET_KEY"] == {"mlflow"}
    runs = {"worker", "dask-worker"}
    assert holders["RANCAST_PSEUDONYM_KEY"] == runs
    assert holders["STACK_MLFLOW_PASSWORD"] == runs | {"registry-user"}
    assert holders["STACK_PREFECT_AUTH_STRING"] == runs | {"prefect", "deploy"}
    # whoever reads or writes blobs, and `deploy` for the block of results
    stored = runs | {"azurite", "provision", "mlflow", "exporter", "deploy"}
    assert holders["STACK_AZURITE_KEY"] == stored
    assert all(holders.values())
    mounted = {
        name
        for name, service in services.items()
        if "certificates" in [mount["source"] for mount in service.get("volumes", [])]
    }
    assert mounted == runs | {"certificates", "dask-scheduler"}


def test_nobody_is_told_that_this_runs(services: dict[str, dict[str, Any]]) -> None:
    """Each container of our image has the switches of every library that reports home."""
    for name, service in services.items():
        if service["image"].startswith("rancast:"):
            assert QUIET.items() <= service["environment"].items(), name
    assert "--disableTelemetry" in services["azurite"]["command"]


def test_every_variable_of_the_stack_is_explained() -> None:
    """.env.example has each variable that the file reads, and no other of the stack."""
    read = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    example = (CHECKOUT / ".env.example").read_text()
    explained = set(re.findall(r"^# (\w+)=", example, flags=re.MULTILINE))
    assert read <= explained
    assert {name for name in explained if name.startswith("STACK_")} <= read


# --- make env, make up, make down ---------------------------------------------------------------


def test_make_env_writes_each_secret_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What .env has stays, what it lacks gets a random value, and only the owner may read it."""
    monkeypatch.setattr(stack, "CHECKOUT", tmp_path)
    (tmp_path / "docker-compose.yml").write_text(FILE.read_text())
    assert stack.env() == 0
    first = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in first.splitlines())
    assert sorted(values) == ASKED and len(set(values.values())) == len(ASKED)
    assert all(len(value) >= 40 for value in values.values())
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert stack.env() == 0 and (tmp_path / ".env").read_text() == first
    (tmp_path / ".env").write_text("STACK_POSTGRES_PASSWORD=mine")
    (tmp_path / ".env").chmod(0o644)
    stack.env()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[0] == "STACK_POSTGRES_PASSWORD=mine" and len(lines) == len(ASKED)
    said = capsys.readouterr().out
    assert not [value for value in values.values() if value in said]


@pytest.mark.parametrize("engine", ["none", "no daemon", "running"])
def test_make_up_says_what_is_missing(engine: str, tmp_path: Path) -> None:
    """Without Docker, its engine or a secret the reason is said; with all, compose is called."""
    (tmp_path / "deployments").mkdir()
    script = tmp_path / "deployments" / "stack.py"
    script.write_text((CHECKOUT / "deployments" / "stack.py").read_text())
    (tmp_path / "docker-compose.yml").write_text(FILE.read_text())
    if engine != "none":
        refuse = "[ $1 = info ] && exit 1;" if engine == "no daemon" else ""
        docker = tmp_path / "docker"
        docker.write_text(f'#!/bin/sh\n{refuse} echo called "$@"')
        docker.chmod(0o755)
    reasons = {"none": "docker compose version", "no daemon": "No Docker engine answers"}
    done = run(script, "up", tmp_path)
    assert done.returncode == 1 and ".env lacks " in done.stderr and "make env" in done.stderr
    assert engine == "running" or reasons[engine] in done.stderr
    run(script, "env", tmp_path)
    done = run(script, "up", tmp_path)
    if engine == "running":
        assert done.returncode == 0 and "called compose up --detach --build --wait" in done.stdout
        assert "http://127.0.0.1:4200" in done.stdout
        assert "called compose --profile * down" in run(script, "down", tmp_path).stdout
    else:
        assert done.returncode == 1 and reasons[engine] in done.stderr
        assert ".env lacks" not in done.stderr


def run(script: Path, action: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run make up's script with no other programs than those in a folder."""
    environment = {"PATH": f"{path}:{os.defpath}" if (path / "docker").exists() else str(path)}
    return subprocess.run(
        [sys.executable, str(script), action], env=environment, capture_output=True, text=True
    )
