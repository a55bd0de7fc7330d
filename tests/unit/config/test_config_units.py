import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.config import parse_group, parse_limit, parse_size
from rcfs.config._units import parse_address, parse_textfile
from rcfs.model import Plan, format_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("123456", 123456),
        ("0", 0),
        ("12B", 12),
        ("1K", 1024),
        ("500M", 500 << 20),
        ("500MB", 500_000_000),
        ("500MiB", 500 << 20),
        ("10GiB", 10 << 30),
        ("10 gib", 10 << 30),
        ("1.5GiB", 3 << 29),
        (" 2T ", 2 << 40),
    ],
)
def test_a_size(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "G", "-1", "1e3", "10 XB", "10GG", "1,5G", "nan", "²", "٣M", "10iB"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@given(st.integers(0, 1 << 60))
def test_every_number_of_bytes_is_a_size(size_bytes: int) -> None:
    assert parse_size(str(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1536, "1.5 KiB"), (10 << 30, "10.0 GiB"), (200 << 20, "200 MiB")],
)
def test_a_size_for_people(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("Medium=40", Plan(40)),
        ("medium=5/2", Plan(5, window_s=2)),
        ("medium=5/2.5/0", Plan(5, window_s=2.5, penalty_s=0)),
    ],
)
def test_a_limit(text: str, plan: Plan) -> None:
    assert parse_limit(text) == ("medium", plan)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        *((text, "is not a limit") for text in ("medium", "medium=", "medium=-1", "medium=4.5", "m=٣")),
        *(
            (f"medium=5/{times}", "is not a limit")
            for times in ("", "/3", "1.2.3", "-1", ".5", "nan", "1/2/3")
        ),
        ("=4", "usage plan group"),
        ("a b=4", "usage plan group"),
        ("medium=0", "'limit' must be >= 1"),
        ("medium=5/0", "'window_s' must be > 0"),
    ],
)
def test_no_limit(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_limit(text)


def test_no_group() -> None:
    with pytest.raises(ValueError, match="usage plan group"):
        parse_group("two words")


@pytest.mark.parametrize(
    ("slip", "meant"), [("meduim", "medium"), ("medum", "medium"), ("ligth", "light"), ("Havy", "heavy")]
)
def test_a_misspelt_group(slip: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        parse_limit(f"{slip}=40")


def test_a_group_that_is_new() -> None:
    assert parse_limit("video=40")[0] == "video"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9817", ("127.0.0.1", 9817)),
        ("9817", ("127.0.0.1", 9817)),
        (":9817", ("127.0.0.1", 9817)),
        ("localhost:1", ("localhost", 1)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "x:0", "x:65536", "x:-1", "::1:9", "x:٣", "x:123456"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 127\.0\.0\.1:9817"):
        parse_address(text)


def test_a_file_that_node_exporter_reads() -> None:
    assert parse_textfile("/var/rcfs.prom").name == "rcfs.prom"
    with pytest.raises(ValueError, match=r"must end with \.prom"):
        parse_textfile("/var/rcfs.txt")
