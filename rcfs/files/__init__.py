"""The file system of an account, without FUSE: a mount and `pull` use it, and neither is known here.

`FileSystem` looks up, lists, opens, reads and changes nodes of the tree on behalf of an `Asker`. All waits go
through `Waits`, which bounds them. Each `Listener` hears of every change.
"""

from rcfs.files._attributes import Attributes as Attributes
from rcfs.files._attributes import Kind as Kind
from rcfs.files._attributes import encoded as encoded
from rcfs.files._changes import Listener as Listener
from rcfs.files._changes import TreePath as TreePath
from rcfs.files._changing import FLUSH_S as FLUSH_S
from rcfs.files._collections import show_mailbox as show_mailbox
from rcfs.files._collections import tree_of as tree_of
from rcfs.files._dropping import Dropping as Dropping
from rcfs.files._errnos import errno_of as errno_of
from rcfs.files._filesystem import FileSystem as FileSystem
from rcfs.files._live import live_renderer as live_renderer
from rcfs.files._openers import Listing as Listing
from rcfs.files._openers import OpenContent as OpenContent
from rcfs.files._openers import OpenDrop as OpenDrop
from rcfs.files._openers import Opener as Opener
from rcfs.files._openers import OpenLive as OpenLive
from rcfs.files._openers import OpenMember as OpenMember
from rcfs.files._openers import OpenText as OpenText
from rcfs.files._readers import USUAL_CRAWLERS as USUAL_CRAWLERS
from rcfs.files._readers import Asker as Asker
from rcfs.files._readers import CrawlerPolicy as CrawlerPolicy
from rcfs.files._readers import CrawlerRule as CrawlerRule
from rcfs.files._readers import Reader as Reader
from rcfs.files._searching import names_of_search as names_of_search
from rcfs.files._space import Space as Space
from rcfs.files._space import SpaceMeter as SpaceMeter
from rcfs.files._waits import MAX_READ_WAITERS as MAX_READ_WAITERS
from rcfs.files._waits import MAX_WAITERS as MAX_WAITERS
from rcfs.files._waits import Waits as Waits
