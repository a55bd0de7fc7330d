"""Paths in the tree, name by name."""


def tree_parts(path: str) -> tuple[str, ...]:
    """The names of a path below the root, ``.`` and ``..`` and doubled slashes resolved."""
    parts: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del parts[-1:]
        elif name not in ("", "."):
            parts.append(name)
    return tuple(parts)
