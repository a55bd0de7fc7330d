"""Lines of the call log against cells made to break them."""

import csv
import io
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import Call, Leg, Party, one_line
from rcfs.tree import shelve_call, shown_extensions

PIECES = [
    *(
        "=",
        "+",
        "-",
        "@",
        "\t",
        "\r",
        "\n",
        "\r\n",
        "'",
        '"',
        '""',
        ",",
        ";",
        "|",
        " ",
        "a",
        "1",
        "12125557464",
    ),
    *(
        "\x00",
        "\x1b",
        "\x85",
        "\u2028",
        "\u202e",
        "\u200b",
        "\ud83d",
        "\uff1d",
        "\uff20",
        "\u00a0",
        "e\u0301",
        ".",
    ),
]
cells = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(max_size=8)


def is_number(text: str) -> bool:
    digits = text.removeprefix("+").removeprefix("-") if text[:2] not in ("+-", "-+") else ""
    whole, dot, rest = digits.partition(".")
    return all(part.isascii() and part.isdecimal() for part in ([whole, rest] if dot else [whole]))


def line_of(sender: str, receiver: str, kind: str, session_id: str, result: str) -> str:
    whole = Leg(sender=Party(sender), receiver=Party(receiver))
    context = shown_extensions((), lambda _extension_id, _message_id: None)
    return shelve_call(Call("1", whole, session_id, kind, "", result), context).line


@given(st.lists(cells, min_size=5, max_size=5))
def test_a_line_gives_its_cells_back_on_one_line_and_none_is_a_formula(given_cells: list[str]) -> None:
    line = line_of(*given_cells)
    assert line.endswith("\n")
    assert line.splitlines() == [line[:-1]], "no reader takes it for several lines"
    (row,) = csv.reader(io.StringIO(line, newline=""), strict=True)
    found = [row[3], row[5], row[9], row[10], row[7]]
    shown = [one_line(cell).strip() for cell in given_cells]
    assert [cell.removeprefix("'") for cell in found] == [cell.removeprefix("'") for cell in shown]
    for cell, text in zip(found, shown, strict=True):
        if unicodedata.normalize("NFKC", cell)[:1] in ("=", "+", "-", "@"):
            assert is_number(cell)
            assert cell == text
        assert cell in (text, f"'{text}")
    assert line.encode(), "a file can hold it"
