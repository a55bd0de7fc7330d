import pytest

from rcfs.tree._names import NAME_BYTES, clean, cut, fit, one_line, unique, valid


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Bob Ray", "Bob Ray"),
        ("+12125557464", "+12125557464"),
        ("AC/DC", "AC_DC"),
        ("../../etc/passwd", "_.._etc_passwd"),
        (".bashrc", "bashrc"),
        ("..", ""),
        (" . - . x", "x"),
        ("-rf", "rf"),
        ("Inc. . ", "Inc"),
        ("two\nlines\x00\x7f\x9fend", "two lines   end"),
        ("line\u2028para\u2029end", "line para end"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\u2066\u200f\u061c", ""),
        ("half\ud83d", "half_"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("e\u202e\u0301", "\u00e9"),
        ("\u05d3\u05d5\u05d3", "\u05d3\u05d5\u05d3"),
        ("a  b", "a  b"),
        ("", ""),
    ],
)
def test_clean_keeps_what_is_safe_and_nothing_else(text: str, name: str) -> None:
    assert clean(text) == name


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("abc", 3, "abc"),
        ("abc", 2, "ab"),
        ("a\u00e9", 2, "a"),
        ("ax\u0301\u0302", 4, "a"),
        ("\u0301\u0301", 2, "\u0301"),
        ("a\U0001f469\u200d\U0001f680", 8, "a"),
        ("a\U0001f469\u200d\U0001f680", 5, "a"),
        ("a\U0001f469b", 5, "a\U0001f469"),
        ("abc", -4, ""),
    ],
)
def test_a_cut_falls_between_characters_that_people_see(text: str, limit: int, kept: str) -> None:
    assert cut(text, limit) == kept


def test_the_suffix_survives_a_stem_of_any_length() -> None:
    name = fit("\u00e9" * 300, " [40240698400]")
    # 241 bytes are left for letters of two bytes each.
    assert name == "\u00e9" * 120 + " [40240698400]"
    assert len(name.encode()) == NAME_BYTES - 1


def test_a_cut_leaves_no_dot_or_space_at_the_end_of_the_stem() -> None:
    assert fit("x" * 250 + "..." + "y" * 10, ".jpg") == "x" * 250 + ".jpg"


def test_numbers_stand_before_the_extension_and_ignore_case() -> None:
    taken: set[str] = set()
    names = [unique(stem, ".jpg", taken) for stem in ("Photo", "photo", "PHOTO", "photo (2)", "other")]
    assert names == ["Photo.jpg", "photo (2).jpg", "PHOTO (3).jpg", "photo (2) (2).jpg", "other.jpg"]


def test_numbers_survive_the_limit() -> None:
    taken: set[str] = set()
    names = [unique("x" * 400, ".jpg", taken) for _ in range(3)]
    assert [len(name) for name in names] == [255, 255, 255]
    assert names[2].endswith("x (3).jpg")


def test_shown_text_stays_on_its_line() -> None:
    assert one_line("a\x1b[31m\r\nb\u202ec\ud83d") == "a [31m  bc\ufffd"


def test_only_lone_surrogates_are_replaced() -> None:
    assert valid("\ud83d\ude00 \ude00 \u00e9") == "\U0001f600 \ufffd \u00e9"
