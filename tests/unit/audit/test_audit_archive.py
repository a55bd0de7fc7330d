"""A copy that is audited: foreign manifests, and files in the places of others."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from rcfs.audit import Archive, State
from rcfs.errors import StoreError


@pytest.mark.parametrize(
    "text", ["", "junk\n", "\0" * 5000, "# some other file\n", "# rcfs pull, account x;\n"]
)
def test_a_foreign_manifest_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "SHA256SUMS").write_text(text)
    with pytest.raises(StoreError, match="was not made by rcfs pull"), Archive.open(tmp_path):
        pass


def test_a_directory_without_a_manifest_and_a_missing_one_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a copy of rcfs pull"), Archive.open(tmp_path):
        pass
    with pytest.raises(StoreError, match="cannot be used"), Archive.open(tmp_path / "missing"):
        pass


def test_each_file_is_read_once_and_pipes_never(tmp_path: Path) -> None:
    good, digest = b"x" * 3_000_000, sha256(b"x" * 3_000_000).hexdigest()
    lines = ["# rcfs pull, account 1;"]
    for name in ("a/good", "a/pipe", "a/wrong", "b/good"):
        lines.append(f"{digest}  {name}")
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(good if path.name == "good" else good[:-1])
    (tmp_path / "a/pipe").unlink()
    os.mkfifo(tmp_path / "a/pipe")
    (tmp_path / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    with Archive.open(tmp_path) as archive:
        found = {each.path: each.state for each in archive.check(lambda *_file: True) if each is not None}
        assert found == {"a/pipe": State.REFUSED, "a/wrong": State.DAMAGED}
        assert archive.sums.sound == 2
        assert list(archive.check(lambda *_file: True))[-1] is None
        assert archive.sums.listed == 4


def test_the_note_of_a_pull_is_never_deeper_than_a_filter(tmp_path: Path) -> None:
    lines = ["# rcfs pull, account 1;"]
    for value in ("[" * 900 + "]" * 900, '{"a": 1}', "[1]", '["SMS", "Fax"]', "1796083200", "true", '"in"'):
        lines.append(f'# pull {{"at_s": {len(lines)}, "wanted": {{"types": {value}}}}}')
    (tmp_path / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    with Archive.open(tmp_path) as archive:
        assert archive.unknown_lines == 3
        found = [note.wanted["types"] for note in archive.notes.pulls]
    assert found == [["SMS", "Fax"], 1796083200, True, "in"]
