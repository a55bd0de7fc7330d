"""Randomness that is the same everywhere: a stream of choices that belongs to a name.

Only hashes of :mod:`hashlib` are used: they are the same in all versions of Python, which `hash()` and most
of :mod:`random` do not promise, and begin a stream in 2 µs, where seeding a `random.Random` takes 12.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeVar

_T = TypeVar("_T")

_UNIT = 2.0**-32
"""What brings 32 bits into ``[0, 1)``."""


class Dice:
    """Choices that depend on `name` and on the order of the calls, and on nothing else.

    Args:
        name: What the choices are for; its parts are joined by ``/``.
    """

    __slots__ = ("_next",)

    def __init__(self, *name: object) -> None:
        self._next = _stream("/".join(map(str, name)).encode()).__next__

    def unit(self) -> float:
        """A number in ``[0, 1)``."""
        return self._next()

    def chance(self, probability: float) -> bool:
        """True with `probability` (0 to 1)."""
        return self._next() < probability

    def below(self, stop: int) -> int:
        """An integer in ``[0, stop)``; `stop` is at least 1."""
        return int(self._next() * stop)

    def between(self, first: int, last: int) -> int:
        """An integer in ``[first, last]``."""
        return first + int(self._next() * (last - first + 1))

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of `choices`, each as likely; there must be at least one."""
        return choices[int(self._next() * len(choices))]

    def rank(self, stop: int) -> int:
        """An integer in ``[0, stop)``, small ones far likelier, as a few contacts write most messages."""
        return int(self._next() ** 3 * stop)


def stable_int(bits: int, *name: object) -> int:
    """An integer in ``[0, 2**bits)`` that belongs to `name`; `bits` is a multiple of 8, at most 512."""
    text = "/".join(map(str, name))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=bits // 8).digest(), "big")


def filler(size_bytes: int, *name: object) -> bytes:
    """`size_bytes` incompressible bytes that belong to `name`: what makes two equal pictures differ."""
    return hashlib.shake_128("/".join(map(str, name)).encode()).digest(size_bytes)


def _stream(name: bytes) -> Iterator[float]:
    """Numbers in ``[0, 1)`` that belong to `name`, without end: 16 from each hash of name and counter."""
    for part in count():
        for bits in struct.unpack("<16I", hashlib.blake2b(b"%d/%b" % (part, name)).digest()):
            yield bits * _UNIT
