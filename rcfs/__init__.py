"""rcfs: a RingCentral account as a directory tree."""

__version__ = "0.1.0"
"""Said here, where the build reads it: to ask the installed package takes as long as starting Python."""
