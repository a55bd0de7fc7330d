"""The directory of a copy, and its manifest."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from rcfs.errors import StoreError
from rcfs.pull import Copy
from rcfs.pull._manifest import line
from rcfs.tree import COPY_MANIFEST
from tests.fakes.manifests import parse, whole

ACCOUNT = "400123"
PARTS = ("101 Jane", "Fax", "fax.pdf")
TIME_S = 1_500_000_000.25


def verified(directory: Path) -> bool:
    command = ["sha256sum", "--check", "--strict", "--quiet", COPY_MANIFEST]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("path", ["a", "a b/ü", "back\\slash", "new\nline", "re\rturn", "\\n", "x  y", " *z"])
def test_a_line_is_read_as_it_was_written(path: str) -> None:
    digests = {path: "0" * 64, "other": "a" * 64}
    assert parse(whole(ACCOUNT, digests)) == (ACCOUNT, digests)


def test_torn_and_foreign_lines_are_passed_over() -> None:
    text = whole(ACCOUNT, {"a": "0" * 64}) + "junk\n" + line("a", "1" * 64) + line("b", "2" * 64)[:-1]
    assert parse(text) == (ACCOUNT, {"a": "1" * 64}), "the last line counts, but not without its end"
    for foreign in ("", "0" * 64 + "  file\n", "# some other account 1;\n"):
        assert parse(foreign) is None


def test_a_copy_is_private_dated_and_verifiable(tmp_path: Path) -> None:
    target = tmp_path / "new" / "copy"
    odd = ("101 Jane", "back\\slash \u202f.bin")
    with Copy.open(target, ACCOUNT) as copy:
        copy.write(PARTS, TIME_S, b"bytes")
        copy.write(odd, 2e300, b"")
        copy.link(("101 Jane", "link"), "Fax/fax.pdf")
        copy.make_directory(("101 Jane", "SMS"))
        copy.date_directory(("101 Jane", "SMS"), TIME_S)
        assert verified(target), "at every moment"
    assert verified(target)
    file = target.joinpath(*PARTS)
    assert file.read_bytes() == b"bytes"
    assert file.stat().st_mtime == pytest.approx(TIME_S, abs=1e-3)
    assert (target / "101 Jane" / "SMS").stat().st_mtime == pytest.approx(TIME_S, abs=1e-3)
    assert (target / "101 Jane" / "link").readlink() == Path("Fax/fax.pdf")
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in target.rglob("*") if not path.is_symlink()}
    assert modes == {0o600, 0o700}
    assert list(target.rglob(".rcfs-*")) == []


def test_the_next_run_knows_what_is_done_and_what_is_damaged(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT) as copy:
        copy.write(PARTS, TIME_S, b"bytes")
    with Copy.open(tmp_path, ACCOUNT) as copy:
        assert copy.digest(PARTS) is not None
        assert (copy.size_of(PARTS), copy.is_sound(PARTS)) == (5, True)
        tmp_path.joinpath(*PARTS).write_bytes(b"bytez")
        assert (copy.size_of(PARTS), copy.is_sound(PARTS)) == (5, False)
        tmp_path.joinpath(*PARTS).unlink()
        assert (copy.size_of(PARTS), copy.is_sound(PARTS)) == (None, False)
        copy.write(PARTS, TIME_S, b"bytes")
        assert copy.is_sound(PARTS)


def test_a_partial_file_of_a_killed_run_is_not_part_of_the_copy(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT) as copy:
        copy.begin(PARTS).append(b"half of it")  # and no finish, nor close: as kill -9 leaves it
        assert copy.size_of(PARTS) is None
        assert len(list(tmp_path.rglob("*.part"))) == 1
        copy.write(PARTS, TIME_S, b"all of it")
    assert list(tmp_path.rglob("*.part")) == []
    assert verified(tmp_path)


@pytest.mark.parametrize("depth", [0, 1])
def test_nothing_is_written_through_a_planted_link(tmp_path: Path, depth: int) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "copy"
    with Copy.open(target, ACCOUNT) as copy:
        planted = target.joinpath(*PARTS[:depth], PARTS[depth])
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.symlink_to(outside)
        with pytest.raises(NotADirectoryError):
            copy.write(PARTS, TIME_S, b"x")
        with pytest.raises(NotADirectoryError):
            copy.link((*PARTS[:-1], "link"), "x")
        with pytest.raises(NotADirectoryError):
            copy.make_directory(PARTS[:-1])
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"precious")
    target = tmp_path / "copy"
    with Copy.open(target, ACCOUNT) as copy:
        place = target.joinpath(*PARTS)
        place.parent.mkdir(parents=True)
        place.symlink_to(secret)
        assert (copy.size_of(PARTS), copy.is_sound(PARTS)) == (None, False)
        copy.write(PARTS, TIME_S, b"x")
    assert secret.read_bytes() == b"precious"
    assert not place.is_symlink()


def test_foreign_directories_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(StoreError, match="is not empty and not a copy"), Copy.open(tmp_path, ACCOUNT):
        pass
    (tmp_path / COPY_MANIFEST).write_text("0" * 64 + "  distribution.iso\n")
    with pytest.raises(StoreError, match="was not made by rcfs pull"), Copy.open(tmp_path, ACCOUNT):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [COPY_MANIFEST, "mine"]
    (tmp_path / COPY_MANIFEST).unlink()
    (tmp_path / COPY_MANIFEST).symlink_to("mine")
    with pytest.raises(StoreError, match="cannot be read"), Copy.open(tmp_path, ACCOUNT):
        pass
    with pytest.raises(StoreError, match="Not a directory"), Copy.look(tmp_path / "mine"):
        pass


def test_one_account_and_one_pull_at_a_time(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT), Copy.look(tmp_path, ACCOUNT):
        with pytest.raises(StoreError, match="another pull"), Copy.open(tmp_path, ACCOUNT):
            pass
        with pytest.raises(StoreError, match=f"of another account \\({ACCOUNT}\\)"), Copy.look(tmp_path, "7"):
            pass


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with Copy.look(tmp_path / "missing", ACCOUNT) as copy:
        assert (copy.digest(PARTS), copy.size_of(PARTS)) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_everything_and_other_errors_one_file(tmp_path: Path) -> None:
    with Copy.open(tmp_path, ACCOUNT) as copy:
        with pytest.raises(OSError, match="too long"):
            copy.write(("x" * 300,), TIME_S, b"")
        writer = copy.begin(PARTS)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer._fd)
        os.close(full)
        with pytest.raises(StoreError, match="No space left"):
            copy.append(writer, b"x")
        writer.close()
    assert not tmp_path.joinpath(*PARTS).exists()
