"""The files of messages to send."""

import hashlib
import os
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from rcfs.errors import ConfigError, StoreError
from rcfs.filenames import StateFiles
from rcfs.model import SendFile, SendKind
from rcfs.outbox._send_files import SendFiles, described
from rcfs.store import Intent, OutboxBook

DAY_S = 86_400
PAGES = b"%PDF-1.4\n" + b"<< /Type /Pages /Count 3 >>\n" + b"<< /Type/Page >>\n<</Type /Page\n>>" * 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "R&D.pdf"
    path.write_bytes(PAGES)
    return path


def test_a_file_is_described(path: Path) -> None:
    digest = hashlib.sha256(PAGES).hexdigest()
    assert described(SendKind.FAX, path) == SendFile(
        "R_D.pdf", "application/pdf", len(PAGES), digest, pages=4
    )


@pytest.mark.parametrize(
    ("data", "pages"),
    [
        (b"\0" * ((1 << 20) - 4) + PAGES, 4),
        (b"\0" * ((1 << 20) - 42) + PAGES, 4),
        (PAGES + b"/Type /ObjStm", None),
        (b"no page", None),
    ],
)
def test_pages_are_counted_if_they_can_be_seen(path: Path, data: bytes, pages: int | None) -> None:
    path.write_bytes(data)
    assert described(SendKind.FAX, path).pages == pages


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pdf does not exist"):
        described(SendKind.FAX, tmp_path / "none.pdf")
    with pytest.raises(ConfigError, match="is not a file"):
        described(SendKind.FAX, tmp_path)


def test_copies_are_private_and_erased_with_their_message(path: Path, tmp_path: Path) -> None:
    files = SendFiles(tmp_path / "outbox")
    file = described(SendKind.FAX, path)
    files.keep("a", (file, file), (path, path))
    kept = files.paths("a", 2)
    assert [each.read_bytes() for each in kept] == [PAGES] * 2
    assert [stat.S_IMODE(each.stat().st_mode) for each in (*kept, kept[0].parent)] == [0o600, 0o600, 0o700]
    files.forget("a")
    assert list((tmp_path / "outbox").iterdir()) == []
    files.forget("a")


def test_nothing_stays_of_files_that_cannot_be_kept(path: Path, tmp_path: Path) -> None:
    files, file = SendFiles(tmp_path / "outbox"), described(SendKind.FAX, path)
    path.write_bytes(b"changed")
    with pytest.raises(ValueError, match="changed while rcfs read it"):
        files.keep("a", (file,), (path,))
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        files.keep("b", (file,), (path,))
    assert list((tmp_path / "outbox").iterdir()) == []
    (tmp_path / "full").write_text("")
    with pytest.raises(StoreError, match="cannot be kept"):
        SendFiles(tmp_path / "full").keep("a", (file,), (path,))


def test_files_of_sent_messages_and_old_ones_of_none_are_swept(path: Path, tmp_path: Path) -> None:
    files, file = SendFiles(tmp_path / "outbox"), described(SendKind.FAX, path)
    files.sweep((), ())
    for name in ("wanted", "sent", "old", "young"):
        files.keep(name, (file,), (path,))
        if name in ("wanted", "old"):
            os.utime(tmp_path / "outbox" / name, (0, time.time() - 2 * DAY_S))
    files.sweep({"wanted", "sent"}, {"sent"})
    assert {each.name for each in (tmp_path / "outbox").iterdir()} == {"wanted", "young"}


def test_an_account_that_is_forgotten_leaves_no_files(path: Path, tmp_path: Path) -> None:
    state = StateFiles(tmp_path / "state")
    with closing(OutboxBook.open(state, lambda _line: None)) as book:
        book.add(
            [
                Intent("a", "1", "send", "Waiting", 0.0, 0.0, "{}"),
                Intent("b", "2", "send", "", 0.0, 0.0, "{}"),
            ]
        )
        file = described(SendKind.FAX, path)
        for account_id, name in (("1", "a"), ("2", "b")):
            SendFiles(book.outgoing(account_id)).keep(name, (file,), (path,))
        book.forget_account("1")
        assert [each.name for each in (tmp_path / "state" / "outbox").iterdir()] == ["2"]
