import pytest

from rcfs.tree._names import NAME_BYTES, Names, clean, cut, fit, folded


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
        ('a"b*c:d<e>f?g\\h|i', "a_b_c_d_e_f_g_h_i"),
        ("zero\u200bwidth\u200d\u2060\ufeff", "zerowidth"),
        ("flag\U000e0067\U000e007f", "flag"),
        ("heart\u2764\ufe0f\U000e0100", "heart\u2764"),
        ("\u3164\u115f\uffa0", ""),
        ("\u2800braille\u3000space\u00a0", "braille space"),
        ("\ue000\uf03a\ufdd0\U0001fffe\U000f0000", "_____"),
        ("\u0301\u0302x", "x"),
        (". \u0301-x", "x"),
        ("e" + "\u0325" * 50, "e" + "\u0325" * 6),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\U0001f680"),
        ("\u0430\u0301", "\u0430\u0301"),
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


@pytest.mark.parametrize(
    ("stem", "suffix", "name"),
    [
        ("CON", "", "_CON"),
        ("con", ".txt", "_con.txt"),
        ("Aux .x", ".tar", "_Aux .x.tar"),
        ("COM\u00b9", ".jpg", "_COM\u00b9.jpg"),
        ("lpt0", "", "_lpt0"),
        ("conin$", "", "_conin$"),
        ("nul" + " " * 300 + "x", "", "_nul"),
        ("nul." + "x" * 300, "", "_nul." + "x" * 250),
        ("Conrad", "", "Conrad"),
        ("con", " [7]", "con [7]"),
        ("x.con", "", "x.con"),
    ],
)
def test_no_name_is_a_device_of_windows(stem: str, suffix: str, name: str) -> None:
    assert fit(stem, suffix) == name


def test_numbers_stand_before_the_extension_and_ignore_case() -> None:
    names = Names()
    given = [names.unique(stem, ".jpg") for stem in ("Photo", "photo", "PHOTO", "photo (2)", "other")]
    assert given == ["Photo.jpg", "photo (2).jpg", "PHOTO (3).jpg", "photo (2) (2).jpg", "other.jpg"]


def test_numbers_survive_the_limit() -> None:
    names = Names()
    given = [names.unique("x" * 400, ".jpg") for _ in range(3)]
    assert [len(name) for name in given] == [255, 255, 255]
    assert given[2].endswith("x (3).jpg")


def test_names_are_compared_as_a_file_system_without_case_does() -> None:
    names = Names(["Taken"])
    assert names.unique("TAKEN") == "TAKEN (2)"
    for one, other in (
        ("stra\u00dfe", "STRASSE"),
        ("k\u0131z", "KIZ"),
        ("\u017f", "S"),
        ("\u03a3", "\u03c2"),
    ):
        assert folded(one) == folded(other)


@pytest.mark.parametrize(
    "stems",
    [
        ["x"] * 3000,
        [f"x ({n})" for n in range(2, 1500)] + ["x"] * 1500,
        [f"{'a' * 246}{n % 1500:04d}" for n in range(3000)],
    ],
)
def test_many_equal_names_take_a_time_that_grows_with_their_number(
    stems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0

    def counted(stem: str, suffix: str = "") -> str:
        nonlocal tried
        tried += 1
        return fit(stem, suffix)

    monkeypatch.setattr("rcfs.tree._names.fit", counted)
    names = Names()
    assert len({folded(names.unique(stem, ".jpg")) for stem in stems}) == len(stems)
    assert tried <= 3 * len(stems)
