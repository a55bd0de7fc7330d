"""rcfs: a RingCentral account as a directory tree."""

from importlib.metadata import version

__version__ = version("rcfs")
