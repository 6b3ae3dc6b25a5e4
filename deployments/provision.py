"""What the stack's servers expect to be there: databases and roles, containers, a user of MLflow.

`python -m deployments.provision databases containers registry-user` makes what is missing and
leaves the rest, passwords excepted: they become those of the environment, so that a changed .env
is all that it takes to change one. What each part reads is in docker-compose.yml.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

import psycopg
from psycopg import Cursor, sql
from pydantic import SecretStr

from rancast.errors import ConfigurationError, RancastError, RegistryError
from tasks.storage import make_container

# database -> the role that owns it
DATABASES = {"prefect": "prefect", "mlflow": "mlflow", "mlflow_users": "mlflow"}
PASSWORDS = {
    "prefect": "STACK_PREFECT_DATABASE_PASSWORD",
    "mlflow": "STACK_MLFLOW_DATABASE_PASSWORD",
}
CONTAINERS = ("RANCAST_RAW_URL", "RANCAST_LAKE_URL", "RANCAST_RESULTS_URL", "STACK_ARTIFACTS_URL")
REGISTRY_USER = "rancast"
TIMEOUT_S = 30


def main() -> int:
    """Make the parts that the command line names; the exit code tells whether all went."""
    parts = {"databases": databases, "containers": containers, "registry-user": registry_user}
    try:
        for name in sys.argv[1:]:
            if name not in parts:
                raise ConfigurationError(f"{name!r} is no part; known: {', '.join(parts)}.")
            for line in parts[name]():
                print(line, flush=True)
    except RancastError as error:
        print(f"\nNothing more was made: {error}", file=sys.stderr)
        return 1
    return 0


def databases() -> list[str]:
    """Have each server's role and databases; libpq reads the address and the administrator.

    Returns a line for each thing that was made. Raises ConfigurationError where Postgres refuses.
    """
    try:
        # a database cannot be made inside a transaction
        connection = psycopg.connect(dbname="postgres", connect_timeout=TIMEOUT_S, autocommit=True)
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"Postgres at PGHOST={os.environ.get('PGHOST')} did not let us in ({_plain(error)}"
            "); the volume keeps the password that it was made with: set that one in .env."
        ) from None
    with connection, connection.cursor() as cursor:
        made = [_role(cursor, role, value_of(name)) for role, name in PASSWORDS.items()]
        made += [_database(cursor, name, role) for name, role in DATABASES.items()]
    return [line for line in made if line]


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())


def _role(cursor: Cursor[Any], name: str, password: str) -> str:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    is_new = cursor.fetchone() is None
    verb = sql.SQL("CREATE" if is_new else "ALTER")
    statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
        verb, sql.Identifier(name), sql.Literal(password)
    )
    cursor.execute(statement)
    return f"role {name}" if is_new else ""


def _database(cursor: Cursor[Any], name: str, owner: str) -> str:
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    if cursor.fetchone() is not None:
        return ""
    database = sql.Identifier(name)
    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))
    # by default every role may connect to every database
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    return f"database {name}"


def containers() -> list[str]:
    """Have each container that an URL names; returns a line for each that was made."""
    secret = SecretStr(value_of("AZURE_STORAGE_CONNECTION_STRING"))
    urls = {name: value_of(name) for name in CONTAINERS}
    made = [url for name, url in urls.items() if make_container(url, secret, setting=name)]
    return [f"container {url}" for url in made]


def registry_user() -> list[str]:
    """Have the user that flow runs are at MLflow, with the password of the environment.

    It is no administrator: it may change what it made, and read the rest. Raises RegistryError
    where MLflow refuses.
    """
    password = value_of("STACK_MLFLOW_PASSWORD")
    status, reply = _ask("users/create", username=REGISTRY_USER, password=password)
    if status == 200:
        return [f"MLflow user {REGISTRY_USER}"]
    if "RESOURCE_ALREADY_EXISTS" in reply:
        status, reply = _ask("users/update-password", username=REGISTRY_USER, password=password)
    if status != 200:
        raise RegistryError(
            f"MLflow at {value_of('MLFLOW_TRACKING_URI')} answered {status} to the user "
            f"{REGISTRY_USER!r}: {reply[:300]}; the administrator's password is the one that the "
            "database was made with, and the user's has 12 characters or more."
        )
    return []


def _ask(call: str, **fields: str) -> tuple[int, str]:
    """Return status and body of a call to MLflow as its administrator."""
    name, password = value_of("MLFLOW_TRACKING_USERNAME"), value_of("MLFLOW_TRACKING_PASSWORD")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"{value_of('MLFLOW_TRACKING_URI')}/api/2.0/mlflow/{call}",
        data=json.dumps(fields).encode(),
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        method="POST" if call.endswith("create") else "PATCH",
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        raise RegistryError(
            f"MLflow at {value_of('MLFLOW_TRACKING_URI')} did not answer: {error}; see that it "
            "runs, and start again."
        ) from None


def value_of(name: str) -> str:
    """Return a variable of the environment; raises ConfigurationError where it is not set."""
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(f"{name} is unset; docker-compose.yml gives it from .env.")
    return value


if __name__ == "__main__":
    sys.exit(main())
