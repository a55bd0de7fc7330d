from xml.etree import ElementTree

import pytest
from bench._picture import picture
from bench._report import BEGIN, END, in_readme, tables
from bench._results import FirstByte, Memory, Results


@pytest.fixture
def results() -> Results:
    made = Results({"date": "2026-11-20", "machine": "2 cores"})
    for peer, requests in (("rcfs", 2000), ("other", 4025)):
        cold = made.cell("grep -r", "cold", peer)
        cold.seconds, cold.requests = [3.0, 1.0, 2.0], [requests, requests, requests + 1]
    cat = made.cell("cat", "cold", "rcfs")
    cat.seconds, cat.requests, cat.size_bytes = [0.5], [1], 50_000_000
    made.cell("cat", "remount", "rcfs").requests = [0]
    made.cell("cat", "cold", "other").error = "ended with 1: <no> ranges"
    made.first_bytes = [FirstByte("rcfs", 0.05, [0.1, 0.2, 0.3]), FirstByte("other", 0.05, error="hangs")]
    made.memory = [Memory("rcfs", "find", 60_000_000, 70_000_000)]
    return made


def test_results_survive_json(results: Results) -> None:
    assert Results.from_json(results.to_json()) == results


def test_tables_give_medians_and_say_what_failed(results: Results) -> None:
    lines = tables(results).splitlines()

    assert "| grep -r | 2,000 / - / - | 4,025 / - / - |" in lines
    assert "| grep -r | 2.00 / - / - | 2.00 / - / - |" in lines
    assert "| cat | 100 / - / - | - |" in lines
    assert "| 50 ms one way | 200 / 290 | - / - |" in lines
    assert "| after find | 60 | - |" in lines
    assert "- cat, cold, other: ended with 1: <no> ranges" in lines
    assert "- first byte, 50 ms one way, other: hangs" in lines
    assert lines[-1] == "Conditions: date: 2026-11-20; machine: 2 cores."


def test_the_picture_is_svg_with_every_figure(results: Results) -> None:
    root = ElementTree.fromstring(picture(results))

    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"2,000", "4,025", "0", "1", "no figure", "cat", "grep -r", "rcfs", "other"} <= set(texts)
    widths = {
        element.get("width")
        for element in root.iter("{http://www.w3.org/2000/svg}rect")
        if element.get("height") == "9"
    }
    assert "0.0" in widths
    assert len(widths) > 3


def test_the_readme_is_changed_between_its_markers_only() -> None:
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert in_readme(readme, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    for broken in ("nothing", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", readme + readme):
        with pytest.raises(ValueError, match="the README must have"):
            in_readme(broken, "new\n")
