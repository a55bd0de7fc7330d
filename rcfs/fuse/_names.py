"""Names as the kernel has them: bytes of UTF-8, in every locale.

`os.fsencode` follows the locale. In one that cannot write a character (ISO-8859-1 and an emoji), a single
name would make its whole directory fail; in two different ones a file would have two names.
"""


def encoded(name: str) -> bytes:
    """A name of the tree as the kernel has it."""
    # No name of the tree holds a lone surrogate; if one did, only that name could not be looked up.
    return name.encode("utf-8", "surrogatepass")


def decoded(name: bytes) -> str:
    """A name that `encoded` made.

    Raises:
        UnicodeDecodeError: It is no UTF-8, so the tree has no such name.
    """
    return name.decode("utf-8", "surrogatepass")
