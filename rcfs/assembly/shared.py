"""Opens the store that shares contents with other machines, if some settings name one."""

from typing import TYPE_CHECKING

from rcfs.config import Settings
from rcfs.private import private_directory

if TYPE_CHECKING:
    from rcfs.objects import SharedPlace


def open_shared(settings: Settings) -> "SharedPlace | None":
    """The shared store of `settings`; None if none is configured.

    Raises:
        ConfigError: The package for it is missing, or a setting is wrong.
        StoreError: The state directory cannot be used.
    """
    if settings.shared is None:
        return None
    from rcfs.objects import Erasures, SharedPlace, open_objects  # noqa: PLC0415 - only if it is configured

    objects = open_objects(settings.shared, settings.shared_options)
    private_directory(settings.state_dir)
    erasures = Erasures(settings.files.shared_erasures, objects)
    return SharedPlace(objects, erasures, settings.shared_wait_s)
