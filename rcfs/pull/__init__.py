"""Pulling: everything below some paths of the tree, fetched into the cache or copied to a directory.

Between the tree, which says what there is, and fetching, which brings it. `choose` is pure;
`Copy` is synchronous and works in threads; `Pull` is the trio driver.
"""

from rcfs.pull._choice import Choice as Choice
from rcfs.pull._choice import Entry as Entry
from rcfs.pull._choice import choose as choose
from rcfs.pull._choice import covers as covers
from rcfs.pull._copy import Copy as Copy
from rcfs.pull._pull import Failure as Failure
from rcfs.pull._pull import Plan as Plan
from rcfs.pull._pull import Progress as Progress
from rcfs.pull._pull import Pull as Pull
