"""Files in Outbox: those that are sent, to whom, and those that never are."""

import pytest

from rcfs.model import SendKind
from rcfs.tree import Drop, drop_of, dropped_text, is_unfinished

BOB, ANN = "+12125557464", "+13035556830"


@pytest.mark.parametrize(
    ("path", "kind", "recipients"),
    [
        (f"SMS/{BOB}.txt", SendKind.SMS, (BOB,)),
        ("SMS/(212) 555-7464.TXT", SendKind.SMS, (BOB,)),
        (f"SMS/{BOB}, {ANN},{BOB}.txt", SendKind.SMS, (BOB, ANN)),
        (f"SMS/{BOB}/new note.txt", SendKind.SMS, (BOB,)),
        (f"SMS/{BOB}/photo.JPG", SendKind.MMS, (BOB,)),
        (f"SMS/{BOB}.jpg", SendKind.MMS, (BOB,)),
        (f"Fax/{BOB}/contract.pdf", SendKind.FAX, (BOB,)),
        (f"Fax/{BOB}.pdf", SendKind.FAX, (BOB,)),
        (f"Fax/{BOB}/letter.txt", SendKind.FAX, (BOB,)),
        ("Page/102.txt", SendKind.PAGE, ("102",)),
        ("Page/102,103/note.txt", SendKind.PAGE, ("102", "103")),
    ],
)
def test_files_that_are_sent(path: str, kind: SendKind, recipients: tuple[str, ...]) -> None:
    drop = drop_of(path.split("/"), "US")
    assert drop == Drop(kind, recipients)
    assert drop.is_text is (kind in (SendKind.SMS, SendKind.PAGE))


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".hidden.pdf",
            ".goutputstream-XYZ123",
            ".contract.pdf.Ab12Cd",
            ".contract.pdf.swp",
            ".~lock.a.odt#",
        ),
        *("contract.pdf~", "contract.pdf.part", "contract.pdf.PART", "contract.pdf.crdownload", "x.filepart"),
        *("lu123.tmp", "~$contract.docx", "#contract.txt#", "sedAbC123", "4913", "5036", "Thumbs.db"),
        "contract.pdf.FAILED.txt",
    ],
)
def test_files_that_are_never_sent(name: str) -> None:
    assert is_unfinished(name)
    assert drop_of(("Fax", BOB, name)) is None
    assert drop_of(("Fax", name)) is None


@pytest.mark.parametrize("name", ["contract.pdf", "4913.pdf", "sed.txt", "a~b.pdf", "part.pdf", "49130.pdf"])
def test_names_of_finished_files(name: str) -> None:
    assert not is_unfinished(name)
    assert is_unfinished(f"{name}.FAILED.txt")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("contract.pdf", "put the file into SMS, Fax or Page"),
        ("Letters/x.pdf", "put the file into SMS, Fax or Page"),
        (f"Fax/{BOB}/a/b.pdf", "put the file into SMS, Fax or Page"),
        ("Fax/contract.pdf", "'contract' is no phone number"),
        ("SMS/2125557464.txt", "write it with . and the country code"),
        (f"SMS/{BOB}", "has no end"),
        (f"SMS/{BOB}/contract.pdf", "a text takes no such file"),
        (f"Fax/{BOB}/film.mp4", "a fax takes no such file"),
        ("Page/102/photo.jpg", "a page has no files"),
        ("Page/Bob.txt", "is no extension number"),
        (f"SMS/{BOB},.txt", "a phone number is empty"),
    ],
)
def test_places_from_which_nothing_is_sent(path: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        drop_of(path.split("/"))


def test_texts_of_any_editor() -> None:
    assert dropped_text(b"\xef\xbb\xbfhello\r\nthere\r\n") == "hello\nthere"
    assert dropped_text(b"hello\n\n") == "hello\n"
    with pytest.raises(ValueError, match="not UTF-8"):
        dropped_text(b"\xff\xfe")
