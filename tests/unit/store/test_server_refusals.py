"""Refusals of a real server, and servers that cannot be trusted: one clear line for each."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import redis
import redis.exceptions

from rcfs.errors import ConfigError, LedgerRefusedError, SharedLedgerError
from rcfs.model import LedgerAddress
from rcfs.store import SharedParts, _server_client
from rcfs.store._server_client import ServerClient
from rcfs.store._server_connection import BookUpdate, Lease, ServerConnection
from rcfs.store._server_errors import translated
from tests.fakes.ledger_server import LedgerServer
from tests.fakes.secure import Authority

FORBIDDEN = "does not permit what rcfs needs; give the user the rights ~{rcfs:\\* &{rcfs:\\* \\+@all"
LEAST = (
    "+eval +evalsha +script|load +time +hmget +hget +hset +hsetnx +hdel +hincrby +expire +zrange +zadd +zrem"
    " +zremrangebyscore +publish +subscribe +unsubscribe +info"
)
"""The commands that rcfs sends, and those of its scripts."""
LEASE = Lease(0.0, 1.0)


@attrs.frozen
class Site:
    """A server with TLS, its authority, and a connection that may do everything."""

    address: LedgerAddress
    authority: Authority
    admin: Any


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="rcfs-tls-")))
        authority = Authority(directory)
        chain = authority.chain("localhost")
        options = ("--tls-auth-clients", "no", "--tls-ca-cert-file", str(authority.file))
        files = ("--tls-cert-file", str(chain), "--tls-key-file", str(chain))
        server = LedgerServer(directory, (*options, *files))
        server.start()
        stack.callback(server.kill)
        admin = stack.enter_context(closing(redis.Redis(unix_socket_path=server.address.path)))
        admin.acl_setuser("rcfs", enabled=True, passwords=["+secret"])
        yield Site(LedgerAddress("localhost", tls_port(admin), tls=True), authority, admin)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server_client, "COMMAND_WITHIN_S", 30.0)  # however busy the machine is


def tls_port(admin: Any) -> int:
    """A port at which the server listens from now on."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with suppress(redis.exceptions.ResponseError):  # It is in use.
            admin.config_set("tls-port", port)
            return port
    raise AssertionError("no port is free")


def use(address: LedgerAddress, password: str | None = None) -> None:
    """Everything that rcfs does with a server."""
    with closing(ServerConnection(address, password, "trial")) as connection:
        held = connection.load("me", LEASE, "", 0)
        known = held.generation, held.version
        connection.store("me", LEASE, BookUpdate(known, ("one", held.version + 1), 0.0, b"{}"))
        while connection.wait_for_change("me", 5.0):
            pass
        connection.info()
        connection.end_waiting()
    with closing(SharedParts(address, password, "account", "name", "scope")) as parts:
        parts.exchange(done=("1",), freed=("2",), choice=("2", "3"), most=1)


def test_a_server_whose_authority_is_named_is_trusted(site: Site, tmp_path: Path) -> None:
    use(attrs.evolve(site.address, ca_file=str(site.authority.file)))
    for named, reason in (
        (tmp_path / "none", "No such file"),
        (Path("/dev/null"), "it holds no certificate"),
    ):
        with pytest.raises(ConfigError, match=f"quota.ca_file {named} cannot be read: {reason}"):
            use(attrs.evolve(site.address, ca_file=str(named)))


def test_a_server_of_another_authority_is_not_trusted(site: Site) -> None:
    with pytest.raises(
        SharedLedgerError, match="does not trust; name the authority's certificate as ca_file"
    ):
        use(site.address)


@pytest.mark.parametrize(
    ("host", "ends", "line"),
    [
        (
            "localhost",
            timedelta(minutes=-1),
            "has a certificate that has expired, or this machine's clock is",
        ),
        ("elsewhere.example", timedelta(hours=1), "has a certificate for another host"),
    ],
)
def test_a_certificate_that_is_not_good_is_told(site: Site, host: str, ends: timedelta, line: str) -> None:
    current = site.admin.config_get("tls-cert-file")["tls-cert-file"]
    chain = Path(current)
    kept = shutil.copyfile(chain, chain.with_name("kept"))
    try:
        shutil.copyfile(site.authority.chain(host, ends=ends), chain)
        site.admin.config_set("tls-cert-file", current)
        with pytest.raises(SharedLedgerError, match=line):
            use(attrs.evolve(site.address, ca_file=str(site.authority.file)))
    finally:
        shutil.copyfile(kept, chain)
        site.admin.config_set("tls-cert-file", current)


@pytest.fixture
def plain(site: Site) -> LedgerAddress:
    """The address of the server for the user, who may do what rcfs needs, and no more."""
    site.admin.execute_command(
        "ACL", "SETUSER", "rcfs", "reset", "on", ">secret", "~{rcfs:*", "&{rcfs:*", *LEAST.split()
    )
    path = site.admin.connection_pool.connection_kwargs["path"]
    return LedgerAddress(path=path, user="rcfs")


def test_few_commands_are_enough(plain: LedgerAddress) -> None:
    use(plain, "secret")


@pytest.mark.parametrize(
    "missing", ["-info", "-hset", "-evalsha", "-subscribe", "resetchannels", "resetkeys"]
)
def test_a_missing_right_is_told(site: Site, plain: LedgerAddress, missing: str) -> None:
    site.admin.execute_command("ACL", "SETUSER", "rcfs", missing)
    with pytest.raises(LedgerRefusedError, match=FORBIDDEN):
        use(plain, "secret")


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_told(plain: LedgerAddress, password: str | None) -> None:
    with pytest.raises(LedgerRefusedError, match="refuses the login; check the user"):
        use(plain, password)


@pytest.mark.parametrize(
    ("setting", "value", "usual", "line"),
    [
        ("maxmemory", "1kb", "0", "has no memory left; raise its maxmemory"),
        ("min-replicas-to-write", "1", "0", "has not the replicas"),
        ("replicaof", "127.0.0.1 1", "no one", "is a read-only replica; name its primary"),
    ],
)
def test_a_server_that_cannot_write_is_told(
    site: Site, plain: LedgerAddress, setting: str, value: str, usual: str, line: str
) -> None:
    change = [setting] if setting == "replicaof" else ["config", "set", setting]
    site.admin.execute_command(*change, *value.split())
    try:
        with pytest.raises(SharedLedgerError, match=line):
            use(plain, "secret")
    finally:
        site.admin.execute_command(*change, *usual.split())


def test_values_of_another_program_are_told(site: Site, plain: LedgerAddress) -> None:
    site.admin.set("{rcfs:trial}:book", "text")
    try:
        with pytest.raises(SharedLedgerError, match="has other values under rcfs's keys"):
            use(plain, "secret")
    finally:
        site.admin.delete("{rcfs:trial}:book")


def test_a_server_that_has_forgotten_the_scripts_gets_them_again(site: Site, plain: LedgerAddress) -> None:
    with closing(ServerConnection(plain, "secret", "trial")) as connection:
        connection.load("me", LEASE, "", 0)
        site.admin.script_flush()
        connection.load("me", LEASE, "", 0)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("@user_script:17: @user_script: 17: -OOM command not allowed", "has no memory left"),
        (
            "@user_script:17: @user_script: 17: -MISCONF Redis is configured to save",
            "cannot write to its disk",
        ),
        (
            "@user_script:17: @user_script: 17: Write commands not allowed after non",
            "is too old; rcfs needs Redis 5",
        ),
        ("@user_script:4: ERR wrong", "fails \\(ERR wrong\\)"),
    ],
)
def test_an_answer_of_an_old_server_within_a_script_is_told(answer: str, line: str) -> None:
    error = redis.exceptions.ResponseError(f"Error running script (call to f_65ab): {answer}")
    with pytest.raises(SharedLedgerError, match=f"unix:///x {line}"):
        raise translated(LedgerAddress(path="/x"), error)


class Cluster:
    """Stands for a script of redis-py: the nodes of a cluster answer it."""

    def __init__(self, **nodes: str) -> None:
        """Each node answers ``ok``, is gone (empty), or names another one."""
        self.nodes = nodes
        self.asked: list[str] = []

    def __call__(self, *, keys: Any, args: Any, client: "redis.Redis") -> str:
        node: str = client.connection_pool.connection_kwargs["host"]
        self.asked.append(node)
        told = self.nodes[node]
        if not told:
            raise redis.exceptions.ConnectionError("gone")
        if told != "ok":
            raise redis.exceptions.MovedError(f"1826 {told}:7000")
        return told


def test_the_node_of_a_cluster_that_has_the_keys_is_followed() -> None:
    client = ServerClient(LedgerAddress("any"), None)
    script = Cluster(any="first", first="ok", second="ok")
    assert [client.run(script, (), ()) for _ in range(2)] == ["ok", "ok"]
    assert script.asked == ["any", "first", "first"]
    script.nodes.update(first="")
    for _ in range(2):
        with pytest.raises(SharedLedgerError, match="redis://first:7000/0 cannot be reached"):
            client.run(script, (), ())
    script.nodes.update(any="second")  # it has taken over
    script.asked.clear()
    assert client.run(script, (), ()) == "ok"
    script.nodes.update(second="any", any="ok")
    assert client.run(script, (), ()) == "ok"
    assert script.asked[-2:] == ["second", "any"]


def test_nodes_that_name_each_other_are_not_followed_for_ever() -> None:
    script = Cluster(one="two", two="one")
    with pytest.raises(SharedLedgerError, match="moves rcfs's keys to another node"):
        ServerClient(LedgerAddress("one"), None).run(script, (), ())
    assert len(script.asked) == 3
