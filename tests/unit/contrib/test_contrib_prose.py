import re
from pathlib import Path

import prose
import pytest

SAMPLES = {
    "Who": ("Who asks is told.", "Every caller is told. Who is it?"),
    "So many": ("Keeps so many lines.", "Keeps many lines."),
    "Goes on": ("The load goes on.", "He goes on about tea."),
    "Is about": ("Nobody is about.", "This is about money."),
    "By the way": ("It reads it by the way.", "It reads it on the way."),
    "Be had": ("It can be had there.", "It can be fetched there."),
    "See to it": ("It sees to it.", "It sees it."),
    "But for": ("All but for one.", "Not one, but four."),
    "Say so": ("The log says so.", "The log says why."),
    "Would have it": ("As you would have it.", "You would have known."),
    "Of before": ("The state of before.", "The state before."),
    "Anew": ("It counts anew.", "It counts again."),
    "All the same": ("It runs all the same.", "All are the same."),
    "The like": ("Pipes and the like.", "They like it."),
    "For ever": ("It waits for ever.", "It waits forever."),
    "As far as": ("It reads as far as it can.", "It reads as far as possible."),
    "Own one": ("Everyone sees the own one.", "Everyone owns one."),
    "One that is": ("The one that is new.", "The new one."),
    "Is none": ("There is none.", "There is no file."),
    "Begin anew": ("It begins anew.", "It begins."),
    "So is said": ("It is told so.", "It is told."),
    "Had to do with": ("All they had to do with him.", "All they had to do."),
}


@pytest.mark.parametrize(("sample", "plain"), SAMPLES.values(), ids=SAMPLES)
def test_a_rule_finds_its_sample_and_leaves_a_plain_sentence_alone(sample: str, plain: str) -> None:
    assert list(prose.broken_rules([(1, sample)]))
    assert not list(prose.broken_rules([(1, plain)]))


def test_every_rule_has_a_sample() -> None:
    for pattern, _reason in prose.RULES:
        assert any(re.search(pattern, sample) for sample, _plain in SAMPLES.values()), pattern


def lines_found(directory: Path, name: str, source: str) -> list[int]:
    path = directory / name
    path.write_text(source)
    return [line for line, _words, _reason in prose.findings(path)]


PROGRAM = '''\
"""A module.

What it does is this.
"""

# A comment whose second line
# is not clear. Who reads it
# may wonder.

x = 1  # said anew

def f(anew):
    raise ValueError("it goes "
                     "on", "anew")
'''


def test_the_lines_of_comments_docstrings_and_messages_of_a_program(tmp_path: Path) -> None:
    # Neither names nor strings of one word are texts.
    assert lines_found(tmp_path, "program.py", PROGRAM) == [3, 7, 10, 13]


def test_messages_of_tests_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    assert lines_found(tmp_path / "tests", "test_it.py", PROGRAM) == [3, 7, 10]


def test_a_question_and_a_sentence_that_continues_on_the_next_line_are_fine(tmp_path: Path) -> None:
    source = '"""Says who it is\nWhat it has is not said. Who is it?"""\n'
    assert lines_found(tmp_path, "program.py", source) == []


def test_comments_apart_are_texts_of_their_own(tmp_path: Path) -> None:
    assert lines_found(tmp_path, "program.py", "# A title\n\n# Who asks is told.\nx = 1\n") == [3]


def test_documents_are_read_without_their_blocks_of_code(tmp_path: Path) -> None:
    source = """\
# What it is

A paragraph goes
on here.

```console
$ it goes on
```

- an item
- Whoever reads this
| a cell | of before |
"""
    assert lines_found(tmp_path, "README.md", source) == [1, 3, 11, 12]


def test_shell_scripts_are_known_by_name_or_first_line(tmp_path: Path) -> None:
    source = '#!/usr/bin/env bash\n# It runs. What\n# follows is code.\nsay "it goes on"\n'
    assert lines_found(tmp_path, "script", source) == [2, 4]
    assert lines_found(tmp_path, "script.sh", source.partition("\n")[2]) == [1, 3]


def test_the_command_prints_findings_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, unclear = tmp_path / "clean.py", tmp_path / "unclear.py"
    clean.write_text('"""A clear text."""\n')
    unclear.write_text('"""It goes on."""\n\n\n"""It goes on."""\n')
    assert prose.main([str(clean)]) == 0
    assert capsys.readouterr().out == ""
    assert prose.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{unclear}:{line}: 'goes on.': 'continues', 'resumes' or 'happens'" for line in (1, 4)
    ]
    assert prose.main(["--counts", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"    2 {tmp_path}\n"
