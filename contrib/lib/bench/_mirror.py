"""The tree that rcfs makes of text messages, written as files: so that all walk through the same."""

from pathlib import Path

from bench._material import ACCOUNT_ID, Texts, extension_record, text_record
from rcfs.model import Mailbox
from rcfs.platform import extension_from, message_from
from rcfs.tree import Directory, TextFile, build_root


def write_mirror(texts: Texts, origin: str, target: Path) -> None:
    """Writes what rcfs shows below ``SMS`` of the mailbox at `origin` to the new folder `target`."""
    extension = extension_from(extension_record(texts.extension_id, texts.name, origin))
    if extension is None:
        raise ValueError("the record of the extension is none")
    found = [message_from(text_record(texts, index, origin)) for index in range(texts.count)]
    messages = tuple(message for message in found if message is not None)
    root = build_root((extension,), fallback_s=0.0)
    shown = root.extension(extension.id)
    shown.fill(Mailbox(str(ACCOUNT_ID), extension.id, messages, {}))
    _write(shown.entries()["SMS"], target)


def _write(node: object, path: Path) -> None:
    if isinstance(node, Directory):
        path.mkdir()
        for name, entry in node.entries().items():
            _write(entry, path / name)
    elif isinstance(node, TextFile):
        path.write_bytes(node.content())
    else:
        raise TypeError(f"{path.name} costs a request, but texts cost none")
