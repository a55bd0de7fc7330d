"""Machines in network namespaces that share one login, one ledger, one object store and the work of a pull.

Machines and the server of the ledger are killed at random. The short form takes few seconds; ``RCFS_LONG=1``
runs the long one.
"""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import attrs
import pytest

from tests.fakes import simulated
from tests.fakes.ledger_server import LedgerServer, server_program
from tests.fakes.simulated import Simulated

PORT = 7399
NET = f"10.213.{os.getpid() % 200}"
"""The network of the machines: another run of this test may be on this computer."""
HOST = f"{NET}.1"
BRIDGE = f"rcfs{os.getpid()}"
FETCH = "readMessageContent"
TYPES = ("--type", "sms", "--type", "mms", "--type", "fax", "--type", "voicemail")
IN_FLIGHT_S = 5.0
"""A content that was asked for so long before its machine was killed may not be in the shared store yet: it
arrives in milliseconds, and then a thread stores it."""
SHARE = 0.97
"""The part of the quota that a long run uses at least."""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or server_program() is None, reason="needs root, and a Redis or Valkey server"
)


@attrs.frozen
class Form:
    """The size of a run."""

    machines: int
    messages: int
    limit: int
    window_s: int
    kills: int
    """Machines to kill, one after the other."""
    server_kills: int
    options: tuple[str, ...] = ()
    """Options of the server of the ledger."""


SHORT = Form(2, 60, 20, 2, kills=1, server_kills=1)
LONG = Form(5, 3700, 400, 60, kills=8, server_kills=3)
KEEPING = ("--appendonly", "yes", "--appendfsync", "always")
FORMS = [
    pytest.param(SHORT, id="short"),
    *(
        pytest.param(
            form,
            id=name,
            marks=[pytest.mark.long, pytest.mark.timeout(900)],
        )
        for name, form in (
            ("five", LONG),
            ("five-and-the-server-keeps-its-data", attrs.evolve(LONG, options=KEEPING)),
            ("five-undisturbed", attrs.evolve(LONG, kills=0, server_kills=0)),
        )
    ),
]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def relay(*words: str, prefix: tuple[str, ...] = ()) -> Iterator[None]:
    command = [*prefix, sys.executable, "-m", "tests.fakes.relay", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        yield
    finally:
        process.kill()
        process.communicate()


@attrs.define(eq=False)
class Machine:
    """A machine: a network namespace, a state directory and a cache."""

    name: str
    directory: Path
    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None
    killed: int = 0

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def start(self, *words: str) -> None:
        places = {f"RCFS_{name.upper()}_DIR": str(self.directory / name) for name in ("state", "cache")}
        log = (self.directory / "output").open("a")
        command = [*self.prefix, sys.executable, "-m", "rcfs", "pull", *TYPES, *words]
        environment = {**os.environ, **self.environment, **places}
        with log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True)

    def kill(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.killed += 1
            self.process.kill()
        self.process.wait()

    def output(self) -> str:
        return (self.directory / "output").read_text()


@contextmanager
def network(count: int, ports: list[str]) -> Iterator[list[str]]:
    """Network namespaces in which the simulator is at its addresses, and the ledger's server at `HOST`."""
    with ExitStack() as made:
        ip("link", "add", BRIDGE, "type", "bridge")
        made.callback(ip, "link", "del", BRIDGE)
        ip("addr", "add", f"{HOST}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        made.enter_context(relay(HOST, "127.0.0.1", *ports))
        names = [f"{BRIDGE}m{number}" for number in range(count)]
        for number, name in enumerate(names):
            ip("netns", "add", name)
            made.callback(ip, "netns", "del", name)
            ip("link", "add", f"v{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"v{name}", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{NET}.{10 + number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
            made.enter_context(relay("127.0.0.1", HOST, *ports, prefix=("ip", "netns", "exec", name)))
        yield names


def contents(server: Simulated) -> list[dict[str, object]]:
    """The attachments that cost a request; a text is in the record."""
    return [row for row in server.truth() if row["kind"] != "Text"]


def fetches(server: Simulated) -> list[dict[str, object]]:
    return server.journal(operation=FETCH)


def run(form: Form, server: Simulated, ledger: LedgerServer, machines: list[Machine]) -> list[float]:
    """The pull on all machines, with kills spread over it; the times of these on the simulator's clock."""
    killed_s: list[float] = []
    dice = random.Random(7)
    total = len(contents(server))
    events = ["machine"] * form.kills + ["server"] * form.server_kills
    dice.shuffle(events)
    due = [total * (number + 1) // (len(events) + 2) for number in range(len(events))]
    for machine in machines:
        machine.start("--join", "all")
    while any(machine.process is not None and machine.process.poll() is None for machine in machines):
        time.sleep(0.1)  # noqa: ASYNC251 - other processes
        if not events or server.summary()["content_requests"] < due[0]:
            continue
        due.pop(0)
        if events.pop() == "server":
            ledger.kill()
            time.sleep(dice.uniform(0.1, 2.0))
            ledger.start()
        else:
            victim = dice.choice(machines)
            victim.kill()
            killed_s.append(max(time_of(entry) for entry in fetches(server)))
            victim.start("--join", "all")
    assert events == []
    return killed_s


@pytest.mark.parametrize("form", FORMS)
def test_killed_machines_bring_everything_once_and_within_the_quota(tmp_path: Path, form: Form) -> None:
    limits = (f"medium={form.limit}/{form.window_s}", "light=100000", "auth=1000")
    options = (f"--messages={form.messages}", "--extensions=8", "--calls=0", "--seed=5")
    with ExitStack() as stack:
        server = stack.enter_context(simulated.start(*options, *(f"--limit={each}" for each in limits)))
        ports = [str(urlsplit(url).port) for url in (server.platform_url, server.media_url)]
        names = stack.enter_context(network(form.machines + 1, ports))
        directory = stack.enter_context(TemporaryDirectory(prefix="rcfs-mm-"))
        bind = ("--bind", HOST, "--protected-mode", "no")
        ledger = LedgerServer(Path(directory), (*bind, *form.options), PORT)
        ledger.start()
        stack.callback(ledger.kill)
        (tmp_path / "shared").mkdir()
        environment = {
            **server.environment(),
            "RCFS_LEDGER": f"redis://{HOST}:{PORT}",
            "RCFS_SHARED": str(tmp_path / "shared"),
        }
        machines = []
        for name in names:
            (tmp_path / name).mkdir()
            machines.append(Machine(name, tmp_path / name, environment))
        *machines, last = machines
        killed_s = run(form, server, ledger, machines)
        codes = [machine.process and machine.process.returncode for machine in machines]
        told = "\n".join(f"{machine.name}: {machine.output()[-1500:]}" for machine in machines)
        assert codes == [0] * form.machines, told
        seen = fetches(server)
        last.start("--to", str(tmp_path / "copy"))
        assert last.process is not None
        assert last.process.wait(120) == 0, last.output()
        kills = sum(machine.killed for machine in machines)
        share = report(form, seen, kills)
        refused = [entry for entry in server.journal() if entry["status"] == 429]
        assert [(entry["time_s"], entry["operation"]) for entry in refused] == []
        assert list(repeated_without_a_kill(fetches(server), killed_s)) == []
        assert form is SHORT or share >= SHARE
        check_bytes(tmp_path / "copy", server, {str(entry["path"]) for entry in seen})


def time_of(entry: dict[str, object]) -> float:
    return float(str(entry["time_s"]))


def repeated_without_a_kill(
    entries: list[dict[str, object]], killed_s: list[float]
) -> Iterator[tuple[str, float]]:
    """The contents that were asked for again, though no machine was killed while it may have had them."""
    latest_s: dict[str, float] = {}
    for entry in sorted(entries, key=time_of):
        path, at_s = str(entry["path"]), time_of(entry)
        if path in latest_s and not any(-1.0 < each - latest_s[path] < IN_FLIGHT_S for each in killed_s):
            yield path, at_s
        latest_s[path] = at_s


def report(form: Form, seen: list[dict[str, object]], kills: int) -> float:
    """The share of the quota that the pull used, and prints it.

    Of all requests that the quota permits in the whole windows from the first request on, it is the part that
    was sent in them. The rest of a window at the end does not count: a pull that spreads its requests evenly
    cannot use all of it.
    """
    times = sorted(map(time_of, seen))
    lasted_s, contents = times[-1] - times[0], len({entry["path"] for entry in seen})
    windows = max(1, int(lasted_s // form.window_s))
    share = sum(at_s < times[0] + windows * form.window_s for at_s in times) / (windows * form.limit)
    earliest_s = (len(times) - 1) // form.limit * form.window_s
    print(  # noqa: T201 - the figures of a long run; `pytest -s` shows them
        f"{form.machines} machines, {kills} kills: {len(times)} requests for {contents} contents in"
        f" {lasted_s:.1f} s ({earliest_s} s at the earliest), {share:.1%} of {windows} windows"
    )
    return share


def check_bytes(copy: Path, server: Simulated, fetched: Collection[str]) -> None:
    """The copy has each content that was fetched, with the right bytes."""
    digests = Counter(
        hashlib.sha256(path.read_bytes()).hexdigest() for path in copy.rglob("*") if path.is_file()
    )
    ids = {(int(words[-3]), int(words[-1])) for words in (path.split("/") for path in fetched)}
    truth = Counter(
        str(row["sha256"]) for row in server.truth() if (row["message_id"], row["attachment_id"]) in ids
    )
    assert truth.total() == len(fetched)
    assert truth - digests == Counter()
