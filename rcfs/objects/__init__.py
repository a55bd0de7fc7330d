"""Contents that several machines share in an object store: their format, the stores, claims and erasures."""

from rcfs.objects._breaker import Breaker as Breaker
from rcfs.objects._claims import CLAIM_EXPIRY_S as CLAIM_EXPIRY_S
from rcfs.objects._claims import RENEW_S as RENEW_S
from rcfs.objects._claims import Granted as Granted
from rcfs.objects._claims import ObjectClaims as ObjectClaims
from rcfs.objects._claims import SharedClaims as SharedClaims
from rcfs.objects._claims import Verdict as Verdict
from rcfs.objects._erasures import Erasures as Erasures
from rcfs.objects._erasures import SharedPlace as SharedPlace
from rcfs.objects._erasures import erase as erase
from rcfs.objects._format import FIRST_BYTES as FIRST_BYTES
from rcfs.objects._format import MOST_CONTENT_BYTES as MOST_CONTENT_BYTES
from rcfs.objects._format import ContentHeader as ContentHeader
from rcfs.objects._format import ObjectNames as ObjectNames
from rcfs.objects._format import WrongObjectError as WrongObjectError
from rcfs.objects._format import chunk_digest as chunk_digest
from rcfs.objects._format import is_claim as is_claim
from rcfs.objects._format import read_header as read_header
from rcfs.objects._format import write_header as write_header
from rcfs.objects._open import open_objects as open_objects
from rcfs.objects._probe import probe_objects as probe_objects
from rcfs.objects._store import Found as Found
from rcfs.objects._store import ObjectStore as ObjectStore
from rcfs.objects._store import ObjectStoreError as ObjectStoreError
