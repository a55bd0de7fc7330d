"""The users who may enter a mount, and the mount options of mount(8) for that."""

import os
import pwd
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rcfs.cli._fstab_options import MountCommand, as_mount_command
from rcfs.cli._main import rcfs
from rcfs.cli._options import PathText, mount_options
from rcfs.config import load_settings, locks_out, parse_umask, parse_user, parse_user_group
from rcfs.errors import ConfigError

OWN = pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(("text", "number"), [("1000", 1000), (OWN, os.getuid()), (0, 0), (" 7 ", 7)])
def test_a_user_is_a_number_or_a_name(text: str | int, number: int) -> None:
    assert parse_user(text) == number


@pytest.mark.parametrize("text", ["nobody at all", "", "-1", "4294967295", "99999999999", "\udcff", -1])
def test_an_unknown_user_or_group_is_refused(text: str | int) -> None:
    for parse in (parse_user, parse_user_group):
        with pytest.raises(ValueError, match=r"there is no (user|group) |is out of range"):
            parse(text)


@pytest.mark.parametrize(("text", "umask"), [("022", 0o022), ("0o77", 0o77), ("0", 0), ("0027", 0o027)])
def test_a_umask_is_octal(text: str, umask: int) -> None:
    assert parse_umask(text) == umask


@pytest.mark.parametrize("text", ["", "8", "0x12", "u=rwx", "1777", "00000"])
def test_a_wrong_umask_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="three octal digits"):
        parse_umask(text)


@pytest.mark.parametrize(
    ("options", "umask"),
    [
        ({}, 0o077),
        ({"allow_other": True}, 0o022),
        ({"allow_other": True, "umask": "027"}, 0o027),
        ({"umask": "002"}, 0o002),
    ],
)
def test_the_umask_is_022_where_others_may_enter(options: dict[str, Any], umask: int) -> None:
    assert load_settings(options, {}, Path("/nonexistent/config.toml"), warn=pytest.fail).umask == umask


def test_the_config_file_sets_owner_and_umask(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[mount]\nuid = '{OWN}'\ngid = 7\numask = '027'\nread_only = true\n")
    settings = load_settings({}, {}, config, warn=pytest.fail)
    assert (settings.uid, settings.gid, settings.umask) == (os.getuid(), 7, 0o027)
    assert settings.read_only
    config.write_text("[mount]\nuid = 'nobody at all'\n")
    with pytest.raises(ConfigError, match=r"line 2: 'mount.uid': there is no user nobody at all"):
        load_settings({}, {}, config, warn=pytest.fail)


@pytest.mark.parametrize(
    ("uid", "gid", "umask", "locked"),
    [
        (None, None, 0o077, False),
        (1000, None, 0o777, False),
        (1001, None, 0o077, True),
        (1001, None, 0o027, False),
        (1001, 999, 0o027, True),
        (1001, 999, 0o022, False),
    ],
)
def test_an_owner_can_lock_out_the_user_who_mounts(
    uid: int | None, gid: int | None, umask: int, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [1000])
    assert locks_out(uid=uid, gid=gid, umask=umask) is locked


@click.command(cls=MountCommand)
@click.argument("mountpoint", type=PathText())
@mount_options
@click.pass_context
def echo(context: click.Context, /, mountpoint: Path, **options: Any) -> None:
    del mountpoint
    context.obj.update({name: value for name, value in options.items() if value not in (None, ())})


def words_of(*arguments: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    result = CliRunner().invoke(echo, [*arguments, "/mnt"], obj=given)
    assert result.exit_code == 0, result.output
    return given


def test_mount_options_of_fstab_set_the_options() -> None:
    assert words_of(
        "-o", "rw,allow_other,uid=jane,noatime,x-systemd.automount,ro", "-oumask=027,limit=medium=9"
    ) == {
        "allow_other": True,
        "uid": "jane",
        "read_only": True,
        "umask": "027",
        "limit": ("medium=9",),
    }
    assert words_of("-o", "ro,rw") == {}, "the last counts, and rw is what the default is"
    assert words_of("-o", "noallow_other,no_offline,max_wait=60,subtype=sshfs,cache_dir=/c") == {
        "allow_other": False,
        "offline": False,
        "max_wait": 60.0,
        "fs_subtype": "sshfs",
        "cache_dir": Path("/c"),
    }
    assert words_of("--umask=077", "-o", "umask=000,limit=light=1", "--limit=medium=2") == {
        "umask": "077",
        "limit": ("medium=2", "light=1"),
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("allow_othr", "unknown mount option 'allow_othr' (did you mean 'allow_other'?)"),
        ("remount", "unknown mount option 'remount'"),
        ("uid", "uid needs a value"),
        ("allow_other=1", "allow_other takes no value"),
        ("max_wait=long", "'-o max_wait': 'long' is not a number of seconds, such as 60 or 2.5"),
        ("wait_online=", "'-o wait_online': '' is not a number of seconds"),
        ("log_level=loud", "'-o log_level': 'loud' is not one of 'debug', "),
        ("nouid", "unknown mount option 'nouid'"),
        ("foreground", "unknown mount option 'foreground'"),
    ],
)
def test_a_wrong_mount_option_is_refused(word: str, said: str) -> None:
    result = CliRunner().invoke(echo, ["-o", word, "/mnt"], obj={})
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["rcfs", "/mnt", "-o", "rw,uid=1"], ["mount", "-o", "rw,uid=1", "--", "/mnt"]),
        (["acc ount", "/mnt", "-sn", "-v", "-o", "rw"], ["mount", "-o", "rw", "--", "/mnt"]),
        (["rcfs", "/mnt", "-f", "-o", "rw"], []),
        (["rcfs", "mnt", "-o", "rw"], None),
        (["rcfs", "/mnt"], None),
        (["status", "/mnt", "-o", "rw"], None),
        (["--version"], None),
    ],
)
def test_a_call_by_mount_8_becomes_a_call_of_rcfs_mount(args: list[str], meant: list[str] | None) -> None:
    assert as_mount_command(args, ["mount", "status"]) == meant


def test_a_dry_run_of_mount_8_does_nothing() -> None:
    assert CliRunner().invoke(rcfs, ["rcfs", "/nonexistent", "-f", "-o", "rw"]).exit_code == 0
