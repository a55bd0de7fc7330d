"""What would change something is refused, because a mount is not read-only to the kernel: searches are made.

To others than the owner, whom the mode does not let write, the kernel says EACCES before it asks.
"""

import errno
from typing import Any, NoReturn

import pyfuse3


async def _refused(*_request: Any, **_more: Any) -> NoReturn:  # noqa: ASYNC124 - handlers are awaited
    raise pyfuse3.FUSEError(errno.EROFS)


class ReadOnlyOperations(pyfuse3.Operations):
    """Refuses everything that would change a file, or make one.

    Without a handler the answer would be ENOSYS, for which the kernel tries it in another way.
    """

    setattr = mknod = create = symlink = link = write = setxattr = removexattr = _refused
