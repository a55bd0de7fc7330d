"""Pulling: everything below some paths of the tree, fetched into the cache or copied to a directory.

Between the tree, which says what there is, and fetching, which brings it. `Walk` is pure;
`Copy` is synchronous and works in threads; `Pull` is the trio driver. However large the account is, nothing
is kept in memory of what was looked at but sums: what is to be done is on the disk.
"""

from rcfs.pull._copy import Copy as Copy
from rcfs.pull._filter import Filter as Filter
from rcfs.pull._pull import Progress as Progress
from rcfs.pull._pull import Pull as Pull
from rcfs.pull._survey import Failure as Failure
from rcfs.pull._survey import Survey as Survey
from rcfs.pull._walk import Item as Item
from rcfs.pull._walk import Walk as Walk
from rcfs.pull._walk import extensions_of as extensions_of
