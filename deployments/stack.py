"""make env, make up, make down: the secrets of docker-compose.yml, and its start and end.

Run as a file, by any Python 3.9 or newer, before anything is installed.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
ASKED = re.compile(r"\$\{(\w+):\?")
GIVEN = re.compile(r"^(\w+)=.", re.MULTILINE)
ADDRESSES = """
Prefect  http://127.0.0.1:4200   the log-in is STACK_PREFECT_AUTH_STRING of .env
MLflow   http://127.0.0.1:5000   user admin, password STACK_MLFLOW_ADMIN_PASSWORD of .env
Azurite  http://127.0.0.1:10000  account rancast, key STACK_AZURITE_KEY of .env
"""


def main() -> int:
    """Do what the command line says; the exit code tells whether it went."""
    actions = {"env": env, "up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        print(__doc__, file=sys.stderr)
        return 2
    return actions[sys.argv[1]]()


def env() -> int:
    """Add each secret that .env lacks, with a random value; the file is its owner's alone."""
    path = CHECKOUT / ".env"
    added = missing(path)
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(descriptor, 0o600)  # also where it was copied from .env.example
    with open(descriptor, "a", encoding="utf-8") as file:
        file.write("" if known.endswith("\n") or not known else "\n")
        file.write("".join(f"{name}={new_value(name)}\n" for name in added))
    print(f"{path}: {', '.join(added) if added else 'nothing was missing'}")
    return 0


def up() -> int:
    """Build and start the stack, and wait until it is healthy; say what is missing for that."""
    lacking = needs()
    lacks = missing(CHECKOUT / ".env")
    if lacks:
        lacking.append(f".env lacks {', '.join(lacks)}: `make env` writes random ones.")
    if lacking:
        print("The stack was not started.", *lacking, sep="\n  ", file=sys.stderr)
        return 1
    code = compose("up", "--detach", "--build", "--wait")
    if code == 0:
        print(ADDRESSES)
    return code


def down() -> int:
    """Stop the stack; its volumes stay."""
    lacking = needs()
    if lacking:
        print("Nothing was stopped.", *lacking, sep="\n  ", file=sys.stderr)
        return 1
    # every profile, so that nothing goes on unseen
    return compose("--profile", "*", "down")


def needs() -> list[str]:
    """Return a sentence for each part of Docker that does not answer."""
    if not answers("docker", "compose", "version"):
        return ["`docker compose version` does not answer: install Docker and its plugin compose."]
    if not answers("docker", "info"):
        return ["No Docker engine answers (`docker info`): start it, or get the right to use it."]
    return []


def answers(*command: str) -> bool:
    """Tell whether a command is there and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def compose(*arguments: str) -> int:
    """Run docker compose on this checkout's file; return its exit code."""
    return subprocess.run(["docker", "compose", *arguments], cwd=CHECKOUT).returncode


def missing(path: Path) -> list[str]:
    """Return the names that docker-compose.yml asks for and the file at `path` does not give."""
    asked = ASKED.findall((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
    given = GIVEN.findall(path.read_text(encoding="utf-8")) if path.exists() else []
    return sorted(set(asked) - set(given) - set(os.environ))


def new_value(name: str) -> str:
    """Return a new secret in the form that its reader asks for."""
    if name == "STACK_AZURITE_KEY":
        return base64.b64encode(secrets.token_bytes(64)).decode()
    if name == "STACK_PREFECT_AUTH_STRING":
        return f"rancast:{secrets.token_hex(24)}"
    return secrets.token_hex(24)


if __name__ == "__main__":
    sys.exit(main())
