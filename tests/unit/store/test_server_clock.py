"""The bounds of a server's clock, and the address and the password of the server."""

from pathlib import Path

import attrs
import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.config import load_settings, read_ledger_password
from rcfs.errors import ConfigError
from rcfs.model import LedgerAddress, parse_ledger_address
from rcfs.store._server_clock import ServerClock
from rcfs.store._server_opening import FileMemory


@given(
    start=st.floats(-1e6, 1e6),
    rate=st.floats(1 - 9e-4, 1 + 9e-4),
    trips=st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1),
)
def test_the_servers_time_lies_between_the_bounds(
    start: float, rate: float, trips: list[tuple[float, float, float]]
) -> None:
    clock, now = ServerClock(0.0, 5.0), 100.0
    for gap_s, up_s, down_s in trips:
        now += gap_s
        asked_s, read_s, answered_s = now, now + up_s, now + up_s + down_s
        assert clock.observe(asked_s, answered_s, start + rate * read_s) == pytest.approx(0.0, abs=1e-6)
        now = answered_s
        for later_s in (now, now + 30.0):
            there = start + rate * later_s
            assert clock.earliest_s(later_s) - 1e-6 <= there <= clock.latest_s(later_s) + 1e-6


def test_the_bounds_are_as_narrow_as_the_quickest_answer() -> None:
    clock = ServerClock(0.0, 5.0)
    for trip_s in (1.0, 0.01, 0.5):
        clock.observe(10.0, 10.0 + trip_s, 1000.0 + trip_s / 2)
    assert clock.latest_s(10.5) - clock.earliest_s(10.5) == pytest.approx(0.01, abs=0.003)


@pytest.mark.parametrize("set_by_s", [3600.0, -3600.0])
def test_a_servers_clock_that_somebody_sets_is_put_back(set_by_s: float) -> None:
    clock = ServerClock(0.0, 5.0)
    clock.observe(10.0, 10.1, 1000.0)
    before_s = clock.earliest_s(20.0)
    shift_s = clock.observe(20.0, 20.1, 1010.0 + set_by_s)
    assert shift_s == pytest.approx(-set_by_s, abs=0.2)
    assert clock.observe(21.0, 21.1, 1011.0 + set_by_s + shift_s) == pytest.approx(0.0, abs=0.2)
    assert clock.earliest_s(20.0) == pytest.approx(before_s, abs=0.15)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://host", LedgerAddress("host")),
        ("rediss://jane@host:7000/3", LedgerAddress("host", 7000, tls=True, user="jane", database=3)),
        ("redis://[::1]:7000", LedgerAddress("::1", 7000)),
        ("unix:///run/redis.sock", LedgerAddress(path="/run/redis.sock")),
    ],
)
def test_an_address_of_a_server(url: str, address: LedgerAddress) -> None:
    assert parse_ledger_address(url) == address
    assert parse_ledger_address(str(address)) == attrs.evolve(address, user="")


@pytest.mark.parametrize(
    "url", ["", "host:6379", "http://host", "redis://", "redis://h/x", "redis://h:port", "redis://h?db=1"]
)
def test_another_text_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="write redis://"):
        parse_ledger_address(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="password has no place in a URL") as caught:
        parse_ledger_address("redis://jane:secret@host")
    assert "secret" not in str(caught.value)


def password(tmp_path: Path, text: str) -> str | None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    return read_ledger_password(load_settings({}, {}, config, keyring=None, warn=pytest.fail))


def test_the_password_comes_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "password"
    text = f'[quota]\nledger = "redis://host"\npassword_file = "{file}"\n'
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        password(tmp_path, text)
    file.write_text("secret\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        password(tmp_path, text)
    file.chmod(0o600)
    assert password(tmp_path, text) == "secret"
    file.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        password(tmp_path, text)


def test_the_password_of_a_user_comes_from_the_keyring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(keyring, "get_password", lambda service, name: saved.get((service, name)))
    text = '[quota]\nledger = "redis://jane@host"\n'
    with pytest.raises(ConfigError, match="keyring set rcfs ledger"):
        password(tmp_path, text)
    saved["rcfs", "ledger"] = "secret"
    assert password(tmp_path, text) == "secret"
    assert password(tmp_path, '[quota]\nledger = "redis://host"\n') is None


def test_a_machine_remembers_the_clients_of_each_ledger(tmp_path: Path) -> None:
    path = tmp_path / "state" / "peers.json"
    path.parent.mkdir()
    me, former = "host:2 boot 2.9.1", "host:1 before 1.9.1"
    FileMemory(path, "one", former).remember({former: 3, "another:1 before 1.9.1": 3})
    FileMemory(path, "other", me).remember({me: 2})
    one, other, new = (FileMemory(path, name, me) for name in ("one", "other", "new"))
    assert one.shares() == {former: 3, "another:1 before 1.9.1": 3}
    assert one.former() == [former], "not the one on another machine"
    assert (other.shares(), other.former()) == ({me: 2}, [])
    assert (new.shares(), new.former()) == ({}, [])
    one.remember({me: 2})
    assert FileMemory(path, "one", me).former() == []
    path.write_text("[")
    assert FileMemory(path, "one", me).shares() == {}
