"""Runs what docker-compose.yml declares as local processes, where no container engine is.

Docker's own compose (from PyPI, which needs no engine) checks the file, fills in the variables and
says what each service is. Commands, environments, health checks and the order of starting are used
as they are declared. What a container would have of its own is given otherwise:

- its address: one of 127.0.0.0/8, so that ports stay as declared; the name of a service, and what
  it calls itself (localhost, 0.0.0.0), become that address
- its files: a folder, in which volumes, binds and tmpfs are placed; their paths become paths in it
- its programs: those of this checkout, and for images of others those that `IMAGES` names

Users, capabilities, networks and limits have no counterpart here, but for Postgres, which refuses
to run as root.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests import servers as real

COMPOSE = Path(sys.executable).with_name("docker-compose")
STARTER = Path(__file__).with_name("starter.py")
OWN = re.compile(r"(?<![\w.])(?:127\.0\.0\.1|0\.0\.0\.0|localhost)(?::(\d+))?(?![\w.])")
UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
SECONDS = 600

# what an image brings along: programs that are not in this checkout's PATH, and its own variables
NODE = str(Path(sys.executable).with_name("node"))
AZURITE = str(real.CHECKOUT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js")
PROBE = "import socket, sys; socket.create_connection((sys.argv[-2], int(sys.argv[-1])), 2)"
IMAGES: dict[str, tuple[dict[str, list[str]], dict[str, str]]] = {
    "rancast": ({}, {}),
    "rancast-azurite": ({"azurite": [NODE, AZURITE], "nc": [sys.executable, "-c", PROBE]}, {}),
    "postgres": (
        {
            "postgres": [sys.executable, str(STARTER), "postgres"],
            "pg_isready": [sys.executable, str(STARTER), "pg_isready"],
        },
        {"PGDATA": "/var/lib/postgresql/18/docker"},
    ),
}


def read(environment_file: Path, profiles: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the services of docker-compose.yml, every variable filled in, as compose sees them.

    Raises ValueError with compose's words where the file or a variable is not as it should be.
    """
    return dict(
        config(real.CHECKOUT / "docker-compose.yml", environment_file, profiles)["services"]
    )


def config(file: Path, environment_file: Path, profiles: Collection[str] = ()) -> dict[str, Any]:
    """Return a compose file as `docker-compose config` prints it."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    options = ["--file", str(file), "--env-file", str(environment_file), *chosen]
    done = subprocess.run(
        [str(COMPOSE), *options, "config", "--format", "json"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(environment_file.parent)},
        cwd=environment_file.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
    # compose writes a $ as it would have to stand in a file
    return dict(json.loads(done.stdout.replace("$$", "$")))


def seconds(duration: str) -> float:
    """Return a duration as compose prints it, such as 1m30s, in seconds."""
    return sum(float(n) * UNIT_S[unit] for n, unit in re.findall(r"([\d.]+)(ms|[smh])", duration))


def image_paths() -> dict[str, str]:
    """Return where in this checkout the files lie that deployments/Dockerfile copies, by target."""
    text = (real.CHECKOUT / "deployments" / "Dockerfile").read_text()
    stage = text.split(" AS rancast\n")[1].split("\nFROM ")[0]
    copied = {
        target: str(real.CHECKOUT / source)
        for source, target in re.findall(r"^COPY (\w+) (/\S+)$", stage, flags=re.MULTILINE)
    }
    return copied | {
        re.findall(r"^WORKDIR (\S+)$", stage, flags=re.MULTILINE)[0]: str(real.CHECKOUT)
    }


@dataclass
class Service:
    """One service as a process: what is declared, and how it reads here."""

    name: str
    declared: dict[str, Any]
    address: str
    folder: Path
    hosts: Mapping[str, str]
    published: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    next_check: float = 0.0
    failures: int = 0
    is_healthy: bool = False
    paths: dict[str, str] = field(default_factory=dict)

    @property
    def image(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        """Programs and variables of the service's image."""
        return IMAGES[self.declared["image"].split(":")[0]]

    @property
    def log(self) -> Path:
        """Where the service writes."""
        return self.folder.with_suffix(".log")

    @property
    def directory(self) -> str:
        """The working directory."""
        return self.paths.get(self.declared.get("working_dir", ""), str(self.folder))

    def lay_out(self, volumes: Path) -> None:
        """Make the folder of the service's files, and note which path of it is which here."""
        self.folder.mkdir(parents=True)
        self.paths = image_paths() if self.declared["image"].startswith("rancast:") else {}
        for mount in self.declared.get("volumes", []):
            source = Path(mount["source"])
            if mount["type"] == "volume":
                source = volumes / mount["source"]
                source.mkdir(parents=True, exist_ok=True)
                source.chmod(0o777)  # whoever the service runs as
            assert source.is_dir(), f"{self.name} mounts {source}, which is not there"
            inside = self.folder / mount["target"].lstrip("/")
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.symlink_to(source)
            self._know(mount["target"], inside)
        for target in self.declared.get("tmpfs", []):
            inside = self.folder / target.lstrip("/")
            inside.mkdir(parents=True, exist_ok=True)
            self._know(target, inside)

    def _know(self, target: str, inside: Path) -> None:
        """Note a path of the container, and the folders above it."""
        self.paths[target] = str(inside)
        for up, here in zip(Path(target).parents, inside.parents, strict=False):
            if str(up) != "/":
                self.paths.setdefault(str(up), str(here))

    def here(self, text: str) -> str:
        """Return a text of the file with addresses and paths as they are on this machine."""
        names = "|".join(sorted(map(re.escape, self.hosts), key=len, reverse=True))
        text = re.sub(
            rf"(?<![\w.:-])({names}):(?=\d+(?:[/,;?\s'\"]|$))",
            lambda found: f"{self.hosts[found[1]]}:",
            text,
        )
        text = OWN.sub(self._address, text)
        if not self.paths:
            return text
        known = "|".join(sorted(map(re.escape, self.paths), key=len, reverse=True))
        return re.sub(
            rf"(?<![\w.:/-])({known})(?=[/,;\s'\"]|$)", lambda found: self.paths[found[1]], text
        )

    def _address(self, found: re.Match[str]) -> str:
        """Return what this machine calls localhost inside the container, or a published port."""
        port = found[1]
        address = self.published.get(port, self.address) if port else self.address
        return f"{address}:{port}" if port else address

    def environment(self) -> dict[str, str]:
        """Return all that the process knows: nothing of the person or machine that runs tests."""
        declared = self.image[1] | (self.declared.get("environment") or {})
        translated = {
            name: (
                self.hosts[value]
                if name.endswith("HOST") and value in self.hosts
                else self.here(str(value))
            )
            for name, value in declared.items()
        }
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(real.LEAN),
            "NO_PROXY": ",".join([*self.hosts.values(), "127.0.0.1", "localhost"]),
            "STACK_ADDRESS": self.address,
            **({"TMPDIR": self.paths["/tmp"]} if "/tmp" in self.paths else {}),
            **translated,
        }

    def command(self, declared: list[str]) -> list[str]:
        """Return a declared command as it is run here."""
        program, *arguments = declared
        return [*self.image[0].get(program, [program]), *map(self.here, arguments)]

    def start(self) -> None:
        """Start the process, in a group of its own under a guard that ends with the tests."""
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [*GUARD, *self.command(self.declared["command"])],
                env=self.environment(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self.started = time.monotonic()

    def look(self) -> None:
        """Run the declared health check where it is due.

        Raises RuntimeError for a service that ended, or is unhealthy by the file's own measure.
        """
        check = self.declared.get("healthcheck")
        now = time.monotonic()
        if self.process is not None and self.process.poll() not in (None, 0):
            raise RuntimeError(f"{self.name} ended with {self.process.poll()}:\n{self.tail()}")
        if self.process is None or check is None or self.is_healthy or now < self.next_check:
            return
        kind, *words = check["test"]
        command = self.command(words) if kind == "CMD" else ["sh", "-c", self.here(words[0])]
        self.is_healthy = self._passes(command, seconds(check["timeout"]))
        is_starting = now - self.started < seconds(check["start_period"])
        self.failures += not self.is_healthy and not is_starting
        if self.failures >= check["retries"]:
            raise RuntimeError(f"{self.name} is unhealthy:\n{self.tail()}")
        pause = check["start_interval"] if is_starting else check["interval"]
        self.next_check = time.monotonic() + seconds(pause)

    def _passes(self, command: list[str], timeout_s: float) -> bool:
        try:
            done = subprocess.run(
                command, env=self.environment(), capture_output=True, timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def fulfils(self, condition: str) -> bool:
        """Tell whether what another service waits for has come."""
        if condition == "service_completed_successfully":
            return self.process is not None and self.process.poll() == 0
        return self.process is not None and (condition == "service_started" or self.is_healthy)

    def is_up(self, others: Collection["Service"]) -> bool:
        """Tell whether the service is what somebody or its own health check asks for."""
        conditions = {
            other.declared["depends_on"][self.name]["condition"]
            for other in others
            if self.name in (other.declared.get("depends_on") or {})
        }
        if "healthcheck" in self.declared:
            conditions.add("service_healthy")
        return all(map(self.fulfils, conditions or {"service_started"}))

    def tail(self) -> str:
        """Return the end of what the service wrote."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


GUARD = [sys.executable, "-I", "-S", real.__file__, str(os.getpid())]


@dataclass
class Stack:
    """The running services, by name."""

    services: dict[str, Service]

    def address(self, name: str, port: int) -> str:
        """Return HOST:PORT of a service on this machine."""
        return f"{self.services[name].address}:{port}"

    def up(self, timeout_s: float = SECONDS) -> None:
        """Start every service when what it depends on is there, and wait until all are up.

        Raises RuntimeError, with the log, for one that fails or does not come up in time.
        """
        deadline = time.monotonic() + timeout_s
        everyone = list(self.services.values())
        while not all(service.is_up(everyone) for service in everyone):
            for service in everyone:
                if service.process is None and self._may_start(service):
                    service.start()
                service.look()
            if time.monotonic() > deadline:
                late = [service for service in everyone if not service.is_up(everyone)]
                tails = "\n".join(f"{one.name}: {one.tail()[-1500:]}" for one in late)
                raise RuntimeError(f"not up within {timeout_s} s:\n{tails}")
            time.sleep(0.1)

    def _may_start(self, service: Service) -> bool:
        return all(
            self.services[name].fulfils(wait["condition"])
            for name, wait in (service.declared.get("depends_on") or {}).items()
            if wait["required"] or name in self.services
        )

    def again(self, name: str) -> str:
        """Run a one-shot once more, as the next start would; return what it printed.

        Raises RuntimeError, with what it printed, where it fails.
        """
        service = self.services[name]
        done = subprocess.run(
            service.command(service.declared["command"]),
            env=service.environment(),
            cwd=service.directory,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{name} again: {done.stdout}\n{done.stderr}")
        return done.stdout

    def down(self) -> None:
        """End every process and whatever it has started, which may be groups of their own."""
        guards = [s.process.pid for s in self.services.values() if s.process is not None]
        family = []
        for guard in guards:
            try:
                family += [psutil.Process(guard), *psutil.Process(guard).children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        for one in family:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=20)


@contextmanager
def stack(environment_file: Path, profiles: Collection[str], folder: Path) -> Iterator[Stack]:
    """Give the services of docker-compose.yml, not started yet; end them afterwards."""
    declared = read(environment_file, profiles)
    net = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}"
    hosts = {name: f"{net}.{index}" for index, name in enumerate(sorted(declared), 2)}
    published = {
        str(port["target"]): hosts[name]
        for name, service in declared.items()
        for port in service.get("ports", [])
    }
    services = {
        name: Service(name, content, hosts[name], folder / name, hosts, published)
        for name, content in declared.items()
    }
    running = Stack(services)
    try:
        for service in services.values():
            service.lay_out(folder / "volumes")
        yield running
    finally:
        running.down()
        shutil.rmtree(folder, ignore_errors=True)
