"""The sides of a tree in which people can drop files: ``Outbox``, and the directories of greetings."""

from rcfs.engine import Engine
from rcfs.files._changes import Changes
from rcfs.files._dropping import Dropping
from rcfs.files._greeting_drops import GreetingDropping
from rcfs.files._outbox_drops import OutboxDropping
from rcfs.tree import Drops, Root


def droppings_of(root: Root, engine: Engine, changes: Changes) -> dict[Drops, Dropping]:
    """The sides that `root` has, by their drops."""
    found: dict[Drops, Dropping] = {}
    if root.drops is not None:
        found[root.drops] = OutboxDropping(root, root.drops, engine, changes)
    shelf = root.greetings
    if shelf is not None and shelf.drops is not None:
        found[shelf.drops] = GreetingDropping(root, shelf.drops, engine, changes)
    return found
