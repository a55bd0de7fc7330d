"""Pulling: fetches everything below some paths of the tree into the cache, or copies it to a directory.

`Walk` is pure and finds the entries; `Copy` is synchronous and works in threads; `Pull` runs in the trio
thread and directs both. However large the account is, a pull keeps only sums in memory; its steps are on
the disk.
"""

from rcfs.pull._copy import Copy as Copy
from rcfs.pull._needs import needs_of as needs_of
from rcfs.pull._pull import Pull as Pull
from rcfs.pull._survey import Failure as Failure
from rcfs.pull._survey import Survey as Survey
from rcfs.pull._todo import Kind as Kind
from rcfs.pull._transfer import Progress as Progress
from rcfs.pull._walk import Item as Item
from rcfs.pull._walk import Walk as Walk
