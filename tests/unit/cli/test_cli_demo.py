import importlib.util
import re
import shlex
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import Result

from rcfs.cli import _demo, _demo_extra, _run
from rcfs.cli._demo import running_simulator, usual_ports
from rcfs.config import Credentials, Settings
from rcfs.errors import RcfsError, install_command
from rcfs.host import FuseSystem, Outcome, Parent, Registry
from rcfs.model import Plan, UsageGroup

ENDPOINTS = {
    "platform_url": "http://127.0.0.1:1001",
    "media_url": "http://127.0.0.1:1002",
    "foreign_url": "http://127.0.0.2:1003",
    "client_id": "app",
    "client_secret": "secret",
    "jwt": "jwt",
}


@pytest.mark.parametrize("name", ["simulator", "demo"])
def test_a_wrong_limit_is_refused(run: Callable[..., Result], name: str) -> None:
    result = run(name, "--limit", "medium")
    assert result.exit_code == 2
    assert result.stderr == (
        "rcfs: --limit: 'medium' is not a limit; write GROUP=N[/WINDOW[/PENALTY]], such as medium=40\n"
    )


@pytest.mark.parametrize("name", ["simulator", "demo"])
def test_without_the_demo_extra(
    run: Callable[..., Result], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_demo_extra, "_MODULES", ("json", "no_such_package"))
    result = run(name)
    assert result.exit_code == 2
    command = f"run: {sys.executable} -m pip install 'hypercorn>="
    assert result.stderr.startswith(f"rcfs: the simulator needs the package no_such_package; {command}")


def test_packages_for_an_environment_of_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "executable", "/my tools/python")
    found = install_command("redis")
    assert re.fullmatch(r"uv pip install --python '/my tools/python' 'redis>=[0-9.]+'", found)


def stub(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Makes a script the simulator."""
    monkeypatch.setattr(
        _demo, "rcfs_command", lambda *words: [sys.executable, "-I", "-S", "-c", code, *words]
    )


def test_the_simulator_of_a_demo_ends_with_its_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = f"""
import json, os, sys
assert sys.argv[1:] == ["simulator", "--json", "--until-eof", "--seed=3"], sys.argv
assert os.getsid(0) == os.getpid()
print(json.dumps({ENDPOINTS!r}), flush=True)
sys.stdin.read()
open({str(tmp_path / "ended")!r}, "w").close()
"""
    stub(monkeypatch, code)
    with running_simulator(["--seed=3"]) as endpoints:
        assert endpoints == ENDPOINTS
        assert not (tmp_path / "ended").exists()
    assert (tmp_path / "ended").exists()


def test_a_simulator_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, "pass")
    with (
        pytest.raises(RcfsError, match=r"^the simulator did not start; its error is above$"),
        running_simulator([]),
    ):
        pytest.fail("it is not ready")


def test_a_simulator_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, "import sys; sys.stdin.read()")
    monkeypatch.setattr(_demo, "_SIMULATOR_WITHIN_S", 0.2)
    with (
        pytest.raises(RcfsError, match=r"^the simulator did not start within 0 s; try fewer --messages$"),
        running_simulator([]),
    ):
        pytest.fail("it is not ready")


def test_a_simulator_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, f"import json, signal; print(json.dumps({ENDPOINTS!r}), flush=True); signal.pause()")
    monkeypatch.setattr(_demo, "_SIMULATOR_ENDS_WITHIN_S", 0.1)
    before = psutil.Process().children()  # a server of other tests, perhaps
    with running_simulator([]):
        assert len(psutil.Process().children()) == len(before) + 1
    assert psutil.Process().children() == before, "nor is it a zombie"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Everything that a demo in the foreground does, in order."""
    done: list[tuple[str, Any]] = []

    @contextmanager
    def running(options: Sequence[str]) -> Iterator[Mapping[str, str]]:
        done.append(("simulator", list(options)))
        yield ENDPOINTS
        done.append(("simulator ends", None))

    def serve(
        settings: Settings, mountpoint: Path, *, on_ready: Callable[[], None], **_waiting: object
    ) -> None:
        done.append(("serve", (settings, mountpoint)))
        on_ready()

    monkeypatch.setattr(_demo, "running_simulator", running)
    monkeypatch.setattr(_demo, "_print_tour_aside", lambda path: done.append(("tour", path)))
    monkeypatch.setitem(sys.modules, "rcfs.cli._mounting", types.SimpleNamespace(serve=serve))
    monkeypatch.setattr("rcfs.host.logs.log_to_terminal", lambda level: None)
    monkeypatch.setattr(FuseSystem, "check", lambda self: None)
    return done


@pytest.mark.usefixtures("credentials")
def test_a_demo_in_the_foreground(
    run: Callable[..., Result], served: list[tuple[str, Any]], home: Path
) -> None:
    result = run(
        "demo", "-f", "--limit", "medium=4/10", "--messages", "9", env={"RCFS_CACHE_DIR": "/real/cache"}
    )
    assert result.exit_code == 0, result.stderr
    assert [name for name, _ in served] == ["simulator", "serve", "tour", "simulator ends"]
    assert served[0][1][:2] == ["--limit=medium=4/10", "--messages=9"]
    settings, mountpoint = served[1][1]
    assert mountpoint == home / "ringcentral-demo"
    assert settings.credentials == Credentials("http://127.0.0.1:1001", "app", "secret", "jwt")
    assert settings.cache_dir == home / ".cache" / "rcfs-demo", "never the cache of a real account"
    assert settings.state_dir == home / ".local" / "state" / "rcfs-demo"
    assert settings.plans[UsageGroup("medium")] == Plan(4, window_s=10), "what the platform has"


def test_a_demo_has_the_same_server_at_each_mount(
    run: Callable[..., Result], served: list[tuple[str, Any]], tmp_path: Path
) -> None:
    for name in ("a", "a", "b"):
        assert run("demo", "-f", str(tmp_path / name)).exit_code == 0
    first, again, other = (options for word, options in served if word == "simulator")
    assert first == again != other


def test_a_port_in_use_is_not_asked_for(tmp_path: Path) -> None:
    port, media_port = usual_ports(tmp_path)
    assert (port[:7], media_port[:13]) == ("--port=", "--media-port=")
    with socket.create_server(("127.0.0.1", int(port[7:]))):
        assert usual_ports(tmp_path) == [media_port]


def test_a_demo_with_directories_of_its_own(
    run: Callable[..., Result], served: list[tuple[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "rc"
    assert run("demo", "-f", "--cache-dir", str(tmp_path / "c"), str(path)).exit_code == 0
    settings, mountpoint = served[1][1]
    assert mountpoint == path
    assert (settings.cache_dir, settings.state_dir) == (tmp_path / "c" / "cache", tmp_path / "c" / "state")


def test_a_demo_is_in_the_registry_of_all_mounts(
    run: Callable[..., Result],
    served: list[tuple[str, Any]],
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def note(path: Path) -> None:
        seen.extend(Registry(state_dir).live())
        _demo._print_tour(path)

    monkeypatch.setattr(_demo, "_print_tour_aside", note)
    shown = run("demo", "-f").stdout
    assert [record.server for record in seen] == ["http://127.0.0.1:1001"]
    assert "rcfs simulator --journal http://127.0.0.1:1001 " in shown
    assert "rcfs simulator fault http://127.0.0.1:1001 reset " in shown


def test_a_mount_point_that_cannot_be_made(run: Callable[..., Result], served: object) -> None:
    result = run("demo", "/dev/null/rc")
    assert (result.exit_code, result.stderr) == (
        4,
        "rcfs: /dev/null/rc cannot be created: Not a directory; choose another mount point\n",
    )


def test_a_demo_in_the_background(
    run: Callable[..., Result], served: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(work: Callable[[Parent], None], **_: object) -> Outcome:
        message = home / "ringcentral-demo" / "101 Jane Smith" / "SMS" / "2026-11" / "it's [1]" / "text.txt"
        message.parent.mkdir(parents=True)
        message.touch()
        voicemail = home / "ringcentral-demo" / "101 Jane Smith" / "Voicemail" / "2026-11" / "x"
        voicemail.mkdir(parents=True)
        (voicemail / "voicemail 2026-11-20T01.26.19Z from Bob Ray.wav").touch()
        return Outcome(4711, home / "ringcentral-demo", home / "log")

    monkeypatch.setattr(_run, "run_in_background", start)
    result = run("demo", "--seed", "5")
    assert result.exit_code == 0
    tries = result.stdout.partition("Try:\n")[2].splitlines()
    assert len(tries) == 3
    for line in tries:
        _command, path, *_ = shlex.split(line)
        assert Path(path).exists()
    assert subprocess.run(["sh", "-c", tries[1]], check=False, capture_output=True).returncode == 0


def test_the_tour_without_an_answer(
    run: Callable[..., Result], served: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = home / "ringcentral-demo"
    monkeypatch.setattr(_run, "run_in_background", lambda work, **_: Outcome(4711, root, home / "log"))
    monkeypatch.setattr(_demo, "run_limited", lambda command, timeout_s: None)
    tries = run("demo").stdout.partition("Try:\n")[2].splitlines()
    assert tries == [f"  ls {root}", f"  cat {root}/.rcfs/status", f"  cat {root}/.rcfs/quota"]


def test_a_path_with_wildcards_is_taken_as_it_is(tmp_path: Path) -> None:
    for name in ("a[b]", "a*", "a?", "a\\"):
        file = tmp_path / name / "101" / "SMS" / "x" / "text.txt"
        file.parent.mkdir(parents=True)
        file.touch()
        assert _demo._first(tmp_path / name, "*/SMS/*/text.txt") == file
