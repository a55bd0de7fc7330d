"""Audits: prove an archive complete, the cache or a copy, against the platform or by the copy alone.

`Audit` runs in the trio thread and compares an account with the cache or with a copy. `ArchiveAudit` needs no
server and no index: it compares a copy, opened as an `Archive`, with its own manifest. Both report each
`Finding` when it is made, an `OwnerReport` for each extension and for the company, and last a `Summary`.
"""

from rcfs.audit._alone import ArchiveAudit as ArchiveAudit
from rcfs.audit._archive import Archive as Archive
from rcfs.audit._audit import Audit as Audit
from rcfs.audit._selection import ArchiveSelection as ArchiveSelection
from rcfs.audit._selection import check_paths as check_paths
from rcfs.audit._selection import parts_of as parts_of
from rcfs.audit._selection import pulled_scope as pulled_scope
from rcfs.audit._values import Basis as Basis
from rcfs.audit._values import Finding as Finding
from rcfs.audit._values import OwnerReport as OwnerReport
from rcfs.audit._values import Row as Row
from rcfs.audit._values import State as State
from rcfs.audit._values import Summary as Summary
from rcfs.audit._values import Trouble as Trouble
