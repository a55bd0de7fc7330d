"""The packages that the simulator needs, which only the extra `demo` installs."""

import importlib.util
from typing import Final

from rcfs.errors import ConfigError, install_command

_MODULES: Final = ("hypercorn", "starlette", "PIL", "reportlab")


def require_demo_extra() -> None:
    """Checks that these packages are installed.

    Raises:
        ConfigError: A package is missing.
    """
    for name in _MODULES:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"the simulator needs the package {name}; run: {install_command('demo')}")
