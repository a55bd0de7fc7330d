"""The C library below pyfuse3."""

import ctypes
from pathlib import Path

import pyfuse3


def libfuse_version() -> str:
    """The version of libfuse, such as ``3.14.0``.

    Raises:
        OSError: pyfuse3 is not a library that can be loaded.
        AttributeError: libfuse does not tell; it does since 3.0.
    """
    # The library of pyfuse3 was linked with libfuse, whose file has another name from 3.17 on.
    library = ctypes.CDLL(str(Path(pyfuse3.__file__)))
    library.fuse_pkgversion.restype = ctypes.c_char_p
    name: bytes = library.fuse_pkgversion()
    return name.decode()
