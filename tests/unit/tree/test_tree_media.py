import pytest

from rcfs.model import Attachment, Message
from rcfs.tree._media import estimated_size, extension_for, split_extension

MIB = 1 << 20


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("audio/x-wav", ".wav"),
        ("audio/wav", ".wav"),
        ("audio/mpeg", ".mp3"),
        ("application/pdf", ".pdf"),
        ("image/tiff", ".tif"),
        ("image/jpeg", ".jpg"),
        ("image/heic", ".heic"),
        ("text/vcard", ".vcf"),
        ("application/octet-stream", ".bin"),
        ("x-world/x-vrml", ".bin"),
        ("", ".bin"),
    ],
)
def test_the_media_type_gives_the_extension(content_type: str, extension: str) -> None:
    assert extension_for(content_type) == extension


@pytest.mark.parametrize(
    ("name", "content_type", "parts"),
    [
        ("photo.jpg", "image/jpeg", ("photo", ".jpg")),
        ("photo.JPEG", "image/jpeg", ("photo", ".JPEG")),
        ("photo", "image/jpeg", ("photo", ".jpg")),
        ("photo.exe", "image/jpeg", ("photo.exe", ".jpg")),
        ("photo.png", "image/jpeg", ("photo.png", ".jpg")),
        ("Mr. Smith", "image/jpeg", ("Mr. Smith", ".jpg")),
        ("notes.docx", "", ("notes", ".docx")),
        ("notes.docx", "application/octet-stream", ("notes", ".docx")),
        ("notes", "", ("notes", ".bin")),
        ("jpg", "image/jpeg", ("jpg", ".jpg")),
        (".jpg", "image/jpeg", (".jpg", ".jpg")),
    ],
)
def test_the_senders_extension_stays_when_it_fits(
    name: str, content_type: str, parts: tuple[str, str]
) -> None:
    assert split_extension(name, content_type) == parts


@pytest.mark.parametrize(
    ("message", "attachment", "size"),
    [
        (Message(1), Attachment(1), MIB),
        (Message(1), Attachment(1, kind="AudioRecording", duration_s=5), MIB),
        # 181 s at 32,000 and at 40,000 bytes a second, rounded up to whole 4096
        (Message(1), Attachment(1, content_type="audio/x-wav", duration_s=180), 1415 * 4096),
        (Message(1), Attachment(1, content_type="audio/mpeg", duration_s=180), 1768 * 4096),
        (Message(1, fax_pages=7), Attachment(1, kind="RenderedDocument"), 7 * MIB // 2),
        (Message(1), Attachment(1, kind="MmsAttachment"), 367 * 4096),
        (Message(1, fax_pages=-5), Attachment(1, duration_s=-9), MIB),
        (Message(1), Attachment(1, duration_s=10**30), 1 << 30),
    ],
)
def test_an_unknown_size_is_estimated_upwards(message: Message, attachment: Attachment, size: int) -> None:
    assert estimated_size(message, attachment) == size
