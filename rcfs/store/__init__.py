"""All that rcfs keeps on the disk: the cache of contents, the index of mailboxes, sizes, ledger and session.

Everything here is synchronous and may wait for the disk, so callers run it in worker threads. The event loop
itself only reads chunks, asks short questions, and uses the ledger and the session.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from rcfs.store._cache_stats import CacheStats as CacheStats
from rcfs.store._cache_stats import PinStats as PinStats
from rcfs.store._call_changes import ChangedCalls as ChangedCalls
from rcfs.store._call_reader import CallReader as CallReader
from rcfs.store._call_writer import CallWriter as CallWriter
from rcfs.store._claims import Claims as Claims
from rcfs.store._exports import ExportBook as ExportBook
from rcfs.store._forgetting import erase_cache as erase_cache
from rcfs.store._forgetting import erase_database as erase_database
from rcfs.store._history import FetchHistory as FetchHistory
from rcfs.store._history import FetchRecord as FetchRecord
from rcfs.store._history import Refusal as Refusal
from rcfs.store._index import MailboxIndex as MailboxIndex
from rcfs.store._index_changes import ChangedPaths as ChangedPaths
from rcfs.store._index_database import IndexDamagedError as IndexDamagedError
from rcfs.store._index_reader import IndexReader as IndexReader
from rcfs.store._index_schema import RESHELVED as RESHELVED
from rcfs.store._index_values import Login as Login
from rcfs.store._index_values import MailboxState as MailboxState
from rcfs.store._index_values import Note as Note
from rcfs.store._index_writer import IndexWriter as IndexWriter
from rcfs.store._inherited import lock_inherited as lock_inherited
from rcfs.store._ledger import SqliteHome as SqliteHome
from rcfs.store._ledger import credentials_in_ledger as credentials_in_ledger
from rcfs.store._ledger import open_ledger as open_ledger
from rcfs.store._machine import LinuxMachine as LinuxMachine
from rcfs.store._machine import Machine as Machine
from rcfs.store._outbox import Intent as Intent
from rcfs.store._outbox import OutboxBook as OutboxBook
from rcfs.store._query import match_expression as match_expression
from rcfs.store._search import SearchIndex as SearchIndex
from rcfs.store._search_values import CALL_TYPE as CALL_TYPE
from rcfs.store._search_values import MARKS as MARKS
from rcfs.store._search_values import RECORDING_TYPE as RECORDING_TYPE
from rcfs.store._search_values import Hit as Hit
from rcfs.store._search_values import Scope as Scope
from rcfs.store._seats import share_of_descriptors as share_of_descriptors
from rcfs.store._shared_session import GRANT_SUFFIX as GRANT_SUFFIX
from rcfs.store._shared_session import SharedSession as SharedSession
from rcfs.store._shared_session import grant_path as grant_path
from rcfs.store._sizes import SizeIndex as SizeIndex
from rcfs.store._spill import Spill as Spill
from rcfs.store._spill import SpilledChunk as SpilledChunk
from rcfs.store._value import Chunk as Chunk
from rcfs.store._value import UncheckedChunk as UncheckedChunk

if TYPE_CHECKING:
    from rcfs.store._cache import ContentCache as ContentCache
    from rcfs.store._content import ContentInfo as ContentInfo
    from rcfs.store._content import StoredContent as StoredContent
    from rcfs.store._incoming import Hidden as Hidden
    from rcfs.store._incoming import WholeContent as WholeContent
    from rcfs.store._server_connection import BookUpdate as BookUpdate
    from rcfs.store._server_connection import ServerConnection as ServerConnection
    from rcfs.store._server_home import peer_names as peer_names
    from rcfs.store._server_opening import open_remote_ledger as open_remote_ledger
    from rcfs.store._server_opening import open_server_home as open_server_home
    from rcfs.store._server_parts import SharedParts as SharedParts
    from rcfs.store._server_parts import Standing as Standing
else:
    _MODULES = {
        "BookUpdate": "_server_connection",
        "ContentCache": "_cache",
        "ContentInfo": "_content",
        "Hidden": "_incoming",
        "StoredContent": "_content",
        "WholeContent": "_incoming",
        "SharedParts": "_server_parts",
        "Standing": "_server_parts",
        "ServerConnection": "_server_connection",
        "open_remote_ledger": "_server_opening",
        "open_server_home": "_server_opening",
        "peer_names": "_server_home",
    }

    def __getattr__(name: str) -> object:
        """A name whose module needs diskcache or threads, imported at its first use."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
