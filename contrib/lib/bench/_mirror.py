"""Writes the tree that rcfs makes of text messages as files, so that all programs walk the same tree."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from warnings import warn

from bench._material import ACCOUNT_ID, Texts, extension_record, text_record
from rcfs.mailbox import MailboxCatalogue
from rcfs.model import extension_from, message_from
from rcfs.store import MailboxIndex, SizeIndex
from rcfs.tree import Directory, TextFile, build_root, name_folder, shelve


def write_mirror(texts: Texts, origin: str, target: Path) -> None:
    """Writes the tree below ``SMS`` of the mailbox at `origin` to the new folder `target`."""
    extension = extension_from(extension_record(texts.extension_id, texts.name, origin))
    if extension is None:
        raise ValueError("the record of the extension has no usable id")
    found = [message_from(text_record(texts, index, origin)) for index in range(texts.count)]
    shelved = [shelve(message) for message in found if message is not None]
    account_id = str(ACCOUNT_ID)
    with (
        TemporaryDirectory() as scratch,
        closing(MailboxIndex.open(Path(scratch, "mailboxes.sqlite"), warn)) as index,
        closing(SizeIndex.open(Path(scratch, "sizes.sqlite"), warn)) as sizes,
    ):
        mailbox, _generation = index.writer.begin(account_id, extension.id)
        index.writer.put(mailbox, [message for message in shelved if message is not None], name_folder)
        shown = build_root((extension,), fallback_s=0.0).extension(extension.id)
        shown.show(MailboxCatalogue(index.reader, sizes, mailbox, account_id, extension.id))
        _write(shown.find("SMS"), target)


def _write(node: object, path: Path) -> None:
    if isinstance(node, Directory):
        path.mkdir()
        for name, entry in node.entries().items():
            _write(entry, path / name)
    elif isinstance(node, TextFile):
        path.write_bytes(node.content())
    else:
        raise TypeError(f"{path.name} is not a text")
