"""rcfs: a RingCentral account as a directory tree."""


def __getattr__(name: str) -> str:
    """``__version__``, which is looked up when somebody asks: it takes as long as starting Python."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415 - it is what takes so long

    return version("rcfs")
