"""Writes the tree that rcfs makes of messages as files, so that all programs walk the same tree."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from warnings import warn

from bench._material import ACCOUNT_ID, FileSet, Texts, extension_record, fax_record, text_record
from rcfs.mailbox import MailboxCatalogue
from rcfs.model import extension_from, message_from
from rcfs.store import MailboxIndex, SizeIndex
from rcfs.tree import ContentFile, Directory, TextFile, build_root, name_folder, shelve


def write_mirror(messages: Texts | FileSet, origin: str, target: Path) -> None:
    """Writes the tree of the mailbox at `origin` below ``SMS`` or ``Fax`` to `target`, except attachments.

    Raises:
        ValueError: An attachment is not there already, under the name that rcfs gives it.
    """
    extension = extension_from(extension_record(messages.extension_id, messages.name, origin))
    if extension is None:
        raise ValueError("the record of the extension has no usable id")
    records = (
        [text_record(messages, index, origin) for index in range(messages.count)]
        if isinstance(messages, Texts)
        else [fax_record(messages, index, origin) for index in range(messages.count)]
    )
    found = [message_from(record) for record in records]
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
        _write(shown.find("SMS" if isinstance(messages, Texts) else "Fax"), target)


def _write(node: object, path: Path) -> None:
    if isinstance(node, Directory):
        path.mkdir(exist_ok=True)
        for name, entry in node.entries().items():
            _write(entry, path / name)
    elif isinstance(node, TextFile):
        path.write_bytes(node.content())
    elif not isinstance(node, ContentFile) or not path.exists():
        raise ValueError(f"{path} is missing")
