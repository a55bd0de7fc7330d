"""Quick commands do not load the engine: help, a search in the index, the status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rcfs.cli._main import _MODULES
from rcfs.filenames import StateFiles
from rcfs.store import MailboxIndex

HEAVY = frozenset(
    {"httpx", "trio", "asyncio", "structlog", "pyfuse3", "diskcache", "keyring", "phonenumbers"}
    | {"rcfs.engine", "rcfs.platform"}
)
COMMAND = """
import sys
from rcfs.__main__ import main

sys.argv[1:] = {arguments}
try:
    main()
except SystemExit:
    pass
"""


def loaded_by(code: str) -> set[str]:
    """The modules that a process has loaded after `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


SERVES = """
import os, signal
from pathlib import Path
from rcfs.host import Registry

reader, writer = os.pipe()
if not os.fork():
    Registry(Path({state!r})).add(Path({mountpoint!r}), "https://x")
    os.write(writer, b"x")
    signal.pause()
os.read(reader, 1)
"""
"""A process that pretends to serve a mount."""


@pytest.fixture
def known(state_dir: Path) -> None:
    """An index, in which nothing is."""
    MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail).close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["search", "invoice"],
        ["search", "--in", "101 Jane Smith/SMS", "invoice"],
        ["status"],
        ["status", "--json"],
    ],
    ids=" ".join,
)
def test_no_engine_is_loaded(known: None, arguments: list[str]) -> None:
    modules = loaded_by(COMMAND.format(arguments=arguments))
    assert "rcfs.cli._main" in modules
    assert not HEAVY & modules


def test_no_engine_is_loaded_to_unmount(known: None, state_dir: Path, tmp_path: Path) -> None:
    place = str(tmp_path)
    serves = SERVES.format(state=str(state_dir), mountpoint=place)
    modules = loaded_by(serves + COMMAND.format(arguments=["umount", place]))
    assert "rcfs.cli._mount" in modules
    assert not (HEAVY | {"rcfs.outbox", "rcfs.tree"}) & modules


def test_no_help_loads_an_engine(known: None) -> None:
    """In one process, as `rcfs --help` loads all commands, too; what it leaves out is found here."""
    script = f"for name in {sorted(_MODULES)!r}:\n    rcfs.main([name, '--help'], standalone_mode=False)\n"
    code = (
        f"import sys, json\nfrom rcfs.cli._main import rcfs\n{script}print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {*HEAVY, "rcfs.store", "rcfs.tree"} & set(json.loads(done.stdout.splitlines()[-1]))


def test_settings_and_the_machine_are_cheap() -> None:
    code = "import sys, json, rcfs.config, rcfs.host; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {*HEAVY, "rich", "click"} & set(json.loads(done.stdout))


NOT_AT_START = (
    # Packages that not every mount needs, or not before the tree can be listed.
    *("asyncio", "structlog", "wsproto", "jeepney", "keyring", "phonenumbers", "email.policy", "statistics"),
    # Extras: a plain install has none of them.
    *("redis", "obstore", "fsspec", "prometheus_client", "textual", "starlette", "hypercorn", "PIL"),
    # Rooms and parts for other commands, or for settings that few mounts have.
    *("rcfs.audit", "rcfs.pull", "rcfs.simulator", "rcfs.spec", "rcfs.watch", "rcfs.objects"),
    *("rcfs.content.shar", "rcfs.content._shared", "rcfs.store._server", "rcfs.store._remote_ledger"),
    # `rcfs.cli._mounting` loads it while the server checks the login.
    *("rcfs.fuse", "rcfs.files", "pyfuse3"),
)
"""Beginnings of the names of modules; each of them takes 2 to 20 ms of a start."""


def test_a_mount_loads_only_what_it_needs_at_its_start() -> None:
    modules = loaded_by(
        "import rcfs.__main__, rcfs.cli._mount, rcfs.cli._mounting, rcfs.host.logs, gc\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 10_000, 'loading searches for garbage'"
    )
    assert "rcfs.engine" in modules
    assert sorted(name for name in modules if name.startswith(NOT_AT_START)) == []
