"""Finds turns of phrase that made the texts of rcfs hard to read; contrib/test runs it.

Reads the comments, docstrings and messages of the program, the comments and docstrings of the tests, and the
documents. Each finding is one line: file, line, what stands there, and why to write it otherwise.

    prose.py [--counts] [FILE or DIRECTORY]...
"""

import collections
import io
import itertools
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

START = r"(?:^|(?<=[.!?]\s))"
"""Where a sentence begins, in a text whose lines were joined."""

RULES = [
    # What to look for (letter case counts), and why it is not clear.
    (START + r"(?:Who|Whoever|Whose|What|Whatever|Whichever)\b(?![^.!?]*\?)", "name the actor or the thing"),
    (r"\b[Ss]o many\b", "say how many, or 'at most N'"),
    (r"\b[Gg]o(?:es|ing)? on\b(?! about)|\bwent on\b(?! about)", "'continues', 'resumes' or 'happens'"),
    (
        r"\b(?:[Ss]omebody|[Ss]omeone|[Nn]obody|person|user) (?:is|was) about\b",
        "'present': say what counts as that",
    ),
    (r"\bby the way\b", "'by accident', or leave it out"),
    (r"\b(?:may|can|could|to) be had\b|\bbe had again\b", "'is available', 'can be fetched'"),
    (r"\b[Ss]ees? to it\b", "say who does what: 'ensures that'"),
    (r"\bbut for\b", "'except'"),
    (r"\b(?:say|says|said|tell|tells|told) so\b", "repeat what is said: 'reports the error'"),
    (r"\bwould have it\b|\bhave it that\b", "say what happens"),
    (r"\bof before\b", "'earlier', 'previous'"),
    (r"\banew\b", "'again', 'from scratch'"),
    (r"\ball the same\b", "'still', 'nevertheless'"),
    (r"\bthe like\b", "name them, or 'and similar'"),
    (r"\bfor ever\b", "'forever', or how long"),
    (r"\bas far as\b(?! possible)", "'up to', 'where', 'if'"),
    (r"\bown one\b|\bown ones\b", "repeat the noun: 'their own mailbox'"),
    (r"\bone (?:who|that) (?:has|is|was|had)\b", "name the actor"),
    (r"\b(?:is|are|was|were) none\b", "'is not a …', 'there is no …'"),
    (r"\bbe(?:gan|gin|gins|gun) anew\b", "'starts over'"),
    (r"\b(?:so|too) is said\b|\bis told so\b", "say what the message is"),
    (r"\bhad to do with\b", "'messages exchanged with'"),
]

Text = tuple[list[tuple[int, str]], str]
"""The lines of a text, each with its number, and its kind: "comment", "docstring", "string" or "document"."""

DEFAULT = ["rcfs", "tests", "contrib/lib", "contrib/lib/setup.sh", "contrib/demo", "contrib/test", ".ci/run"]
"""Files and directories that are read by default, besides the documents at the top."""

_LITERAL = re.compile(r"^[A-Za-z]*(\"\"\"|'''|\"|')(.*)\1$", re.DOTALL)


def texts_of_python(source: str) -> Iterator[Text]:
    """The comments and strings of a module; neighbouring comments, and strings, are one text."""
    lines: list[tuple[int, str]] = []
    kind, statement = "", True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            new, found = "comment", [(token.start[0], token.string.lstrip("# "))]
        elif token.type == tokenize.STRING and (literal := _LITERAL.match(token.string)):
            new = "docstring" if statement else "string"
            found = [(token.start[0] + number, line) for number, line in enumerate(literal[2].split("\n"))]
        elif token.type in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            continue
        else:
            statement = token.type == tokenize.NEWLINE
            if statement:
                continue  # A comment on the next line may continue the one at the end of this.
            new, found = "", []
        if new != kind:
            if lines:
                yield lines, kind
            lines, kind = [], new
        lines.extend(found)
        statement = statement and token.type == tokenize.COMMENT
    if lines:
        yield lines, kind


def texts_of_document(source: str) -> Iterator[Text]:
    """The paragraphs, list items and table rows of a Markdown document, without its blocks of code."""
    lines: list[tuple[int, str]] = []
    code = False
    for number, line in enumerate(source.split("\n"), 1):
        fence = line.lstrip().startswith("```")
        if lines and (fence or code or not line.strip() or line.lstrip()[:1] in "-*|#"):
            yield lines, "document"
            lines = []
        code ^= fence
        if not (code or fence):
            lines.append((number, line.lstrip("-*|#> ")))
    if lines:
        yield lines, "document"


def texts_of_shell(source: str) -> Iterator[Text]:
    """The comments of a shell script, neighbouring ones as one text, and its other lines one by one."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(source.split("\n"), 1):
        comment = line.lstrip().startswith("#")
        if lines and not comment:
            yield lines, "comment"
            lines = []
        if comment:
            lines.append((number, line.lstrip("# ")))
        elif line:
            yield [(number, line)], "string"
    if lines:
        yield lines, "comment"


def paragraphs(lines: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """The parts of a text that blank lines separate."""
    part: list[tuple[int, str]] = []
    for number, line in lines:
        if part and (not line.strip() or number > part[-1][0] + 1):
            yield part
            part = []
        if line.strip():
            part.append((number, line))
    if part:
        yield part


def texts_of(source: str, suffix: str) -> Iterator[Text]:
    """The texts of a file with this content and name suffix."""
    shebang = source.partition("\n")[0] if source.startswith("#!") else ""
    if suffix == ".py" or "python" in shebang:
        return texts_of_python(source)
    return texts_of_shell(source) if suffix == ".sh" or shebang else texts_of_document(source)


def findings(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, words, reason) of each rule that a text in the file breaks."""
    in_tests = "tests" in path.parts
    for whole, kind in texts_of(path.read_text(encoding="utf-8"), path.suffix):
        if kind != "string" or (not in_tests and any(" " in line for _number, line in whole)):
            for lines in paragraphs(whole):
                yield from broken_rules(lines)


def broken_rules(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """(line, words, reason) of each rule that a paragraph breaks."""
    text = " ".join(line.strip() for _number, line in lines)
    for pattern, reason in RULES:
        for match in re.finditer(pattern, text):
            yield line_at(lines, match.start()), text[match.start() : match.end() + 30], reason


def line_at(lines: list[tuple[int, str]], position: int) -> int:
    """The number of the line that holds a position of the joined lines."""
    ends = itertools.accumulate(len(line.strip()) + 1 for _number, line in lines)
    return next(number for (number, _line), end in zip(lines, ends, strict=True) if position < end)


def main(arguments: list[str]) -> int:
    """Prints the findings; 1 if there are any."""
    counts = "--counts" in arguments
    names = [name for name in arguments if name != "--counts"] or DEFAULT + sorted(
        map(str, Path().glob("*.md"))
    )
    files = [
        file
        for name in map(Path, names)
        for file in ([name] if name.is_file() else sorted(name.rglob("*.py")))
    ]
    found: collections.Counter[str] = collections.Counter()
    for path in files:
        if path.name == Path(__file__).name:
            continue  # It quotes them.
        for line, words, reason in findings(path):
            found[str(path.parent)] += 1
            if not counts:
                print(f"{path}:{line}: {words!r}: {reason}")
    if counts:
        for directory, count in sorted(found.items()):
            print(f"{count:5} {directory}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
