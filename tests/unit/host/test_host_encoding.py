"""Output and arguments in encodings other than UTF-8."""

import locale
import os
import sys
from io import BytesIO, TextIOWrapper

import pytest

from rcfs.host import adapt_output, as_typed


class Terminal(BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("raw", "encoding", "text", "printed"),
    [
        (BytesIO(), "ISO-8859-1", "Zoë \udcff\ud83d 😀", "Zoë ".encode() + b"\xff? " + "😀".encode()),
        (Terminal(), "ISO-8859-1", "Zoë \udcff 😀", b"Zo\xeb ? ?"),
        (Terminal(), "UTF-8", "Zoë \udcff 😀", "Zoë ? 😀".encode()),
        (Terminal(), "ANSI_X3.4-1968", "Zoë", "Zoë".encode()),
    ],
)
def test_output_takes_every_text(
    raw: BytesIO, encoding: str, text: str, printed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    monkeypatch.setattr(locale, "getencoding", lambda: encoding)
    stream = TextIOWrapper(raw, encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    adapt_output()
    stream.write(text)
    stream.flush()
    assert raw.getvalue() == printed


def test_a_query_may_be_typed_in_the_encoding_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: "ISO-8859-1")
    assert as_typed(os.fsdecode(b"caf\xe9")) == "café"
    assert as_typed("café 😀") == "café 😀"
