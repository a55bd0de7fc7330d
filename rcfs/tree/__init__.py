"""The tree: its directories and files, their names, and the bytes of its texts.

The room is pure: it has no clock, network or disk. `Root` shows the extensions, and `ExtensionDirectory.show`
gives an extension the catalogue of its mailbox. `CallCatalogue` answers for calls and recordings, and
`GreetingCatalogue` for greetings and prompts. `ExportCatalogue` answers for exports, and `ZipDirectory` for
the members of an archive. The nodes below are made on demand. `shelve` and `name_folder` decide in which
folders a message is shown, and `shelve_call` does that for a call; the index calls them when it stores one.
"""

from rcfs.tree._call_catalogue import CallCatalogue as CallCatalogue
from rcfs.tree._call_names import call_id_of as call_id_of
from rcfs.tree._call_shelving import shelve_call as shelve_call
from rcfs.tree._calls import CallLogFile as CallLogFile
from rcfs.tree._calls import CallsDirectory as CallsDirectory
from rcfs.tree._calls import RecordingFile as RecordingFile
from rcfs.tree._calls import RecordingMonthDirectory as RecordingMonthDirectory
from rcfs.tree._calls import RecordingsDirectory as RecordingsDirectory
from rcfs.tree._catalogue import Catalogue as Catalogue
from rcfs.tree._company import CompanyDirectory as CompanyDirectory
from rcfs.tree._exports import STATUS_FILE as STATUS_FILE
from rcfs.tree._exports import ArchiveDirectory as ArchiveDirectory
from rcfs.tree._exports import ExportArchiveFile as ExportArchiveFile
from rcfs.tree._exports import ExportCatalogue as ExportCatalogue
from rcfs.tree._exports import ExportDirectory as ExportDirectory
from rcfs.tree._exports import ExportKindDirectory as ExportKindDirectory
from rcfs.tree._exports import ExportsDirectory as ExportsDirectory
from rcfs.tree._exports import ExportShelf as ExportShelf
from rcfs.tree._exports import ExportStatusFile as ExportStatusFile
from rcfs.tree._exports import MemberFile as MemberFile
from rcfs.tree._extension import ExtensionDirectory as ExtensionDirectory
from rcfs.tree._extension_names import COMPANY_DIRECTORY as COMPANY_DIRECTORY
from rcfs.tree._extension_names import COPY_MANIFEST as COPY_MANIFEST
from rcfs.tree._extension_names import EXPORTS_DIRECTORY as EXPORTS_DIRECTORY
from rcfs.tree._extension_names import SEARCH_DIRECTORY as SEARCH_DIRECTORY
from rcfs.tree._extension_names import extension_names as extension_names
from rcfs.tree._extension_names import shown_extensions as shown_extensions
from rcfs.tree._greetings import PROMPTS_VIEW as PROMPTS_VIEW
from rcfs.tree._greetings import GreetingCatalogue as GreetingCatalogue
from rcfs.tree._greetings import GreetingFile as GreetingFile
from rcfs.tree._greetings import GreetingsDirectory as GreetingsDirectory
from rcfs.tree._greetings import PromptsDirectory as PromptsDirectory
from rcfs.tree._headline import call_headline as call_headline
from rcfs.tree._headline import headline as headline
from rcfs.tree._headline import people_of as people_of
from rcfs.tree._mailbox import MessageDirectory as MessageDirectory
from rcfs.tree._message import RECORD_FILE as RECORD_FILE
from rcfs.tree._message import TEXT_FILE as TEXT_FILE
from rcfs.tree._message import message_id_of as message_id_of
from rcfs.tree._names import folded as folded
from rcfs.tree._nodes import LIVE_TOPICS as LIVE_TOPICS
from rcfs.tree._nodes import REFRESH_ALL as REFRESH_ALL
from rcfs.tree._nodes import AttachmentFile as AttachmentFile
from rcfs.tree._nodes import ContentFile as ContentFile
from rcfs.tree._nodes import Directory as Directory
from rcfs.tree._nodes import Entry as Entry
from rcfs.tree._nodes import Link as Link
from rcfs.tree._nodes import LiveFile as LiveFile
from rcfs.tree._nodes import Node as Node
from rcfs.tree._nodes import RefreshFile as RefreshFile
from rcfs.tree._nodes import TextFile as TextFile
from rcfs.tree._paths import tree_parts as tree_parts
from rcfs.tree._root import Root as Root
from rcfs.tree._root import build_root as build_root
from rcfs.tree._search import Owner as Owner
from rcfs.tree._search import SearchCatalogue as SearchCatalogue
from rcfs.tree._search import SearchDirectory as SearchDirectory
from rcfs.tree._search import SearchesDirectory as SearchesDirectory
from rcfs.tree._search import link_name as link_name
from rcfs.tree._search import namesake as namesake
from rcfs.tree._search import search_name as search_name
from rcfs.tree._search import search_query as search_query
from rcfs.tree._shelving import BY_CONTACT as BY_CONTACT
from rcfs.tree._shelving import GREETINGS_VIEW as GREETINGS_VIEW
from rcfs.tree._shelving import LINK_VIEWS as LINK_VIEWS
from rcfs.tree._shelving import PURGED as PURGED
from rcfs.tree._shelving import SHELVING_EDITION as SHELVING_EDITION
from rcfs.tree._shelving import TYPE_VIEWS as TYPE_VIEWS
from rcfs.tree._shelving import name_folder as name_folder
from rcfs.tree._shelving import shelve as shelve
from rcfs.tree._times import Times as Times
from rcfs.tree._zip_directory import LOCAL_HEADER as LOCAL_HEADER
from rcfs.tree._zip_directory import LOCAL_SIGNATURE as LOCAL_SIGNATURE
from rcfs.tree._zip_directory import STORED as STORED
from rcfs.tree._zip_directory import TAIL_BYTES as TAIL_BYTES
from rcfs.tree._zip_directory import BadZipError as BadZipError
from rcfs.tree._zip_directory import Member as Member
from rcfs.tree._zip_directory import ZipDirectory as ZipDirectory
from rcfs.tree._zip_directory import zip_extent as zip_extent
