"""Frozen values that every room speaks in: ids, extensions, messages, attachments, byte ranges."""

from rcfs.model._content import CHUNK_BYTES as CHUNK_BYTES
from rcfs.model._content import ByteRange as ByteRange
from rcfs.model._content import ContentKey as ContentKey
from rcfs.model._ranges import RangeSet as RangeSet
from rcfs.model._records import Attachment as Attachment
from rcfs.model._records import Availability as Availability
from rcfs.model._records import Extension as Extension
from rcfs.model._records import Message as Message
from rcfs.model._records import Party as Party
from rcfs.model._retention import DAY_S as DAY_S
from rcfs.model._retention import End as End
from rcfs.model._retention import Retention as Retention
from rcfs.model._retention import Rule as Rule
from rcfs.model._shelving import FolderNames as FolderNames
from rcfs.model._shelving import FolderRow as FolderRow
from rcfs.model._shelving import MessageRow as MessageRow
from rcfs.model._shelving import NameFolder as NameFolder
from rcfs.model._shelving import Place as Place
from rcfs.model._shelving import ShelvedMessage as ShelvedMessage
from rcfs.model._urls import is_loopback as is_loopback
from rcfs.model._urls import server_origin as server_origin
from rcfs.model._usage import PRIOR_PLANS as PRIOR_PLANS
from rcfs.model._usage import Plan as Plan
from rcfs.model._usage import Priority as Priority
from rcfs.model._usage import RateHeaders as RateHeaders
from rcfs.model._usage import UsageGroup as UsageGroup
