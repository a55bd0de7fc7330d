"""The HTTP interface of the RingCentral platform: requests, answers, tokens, WebSockets, proxies.

This is the only room that speaks HTTP. It sends each request exactly once; `rcfs.transport` waits and
retries.
"""

from rcfs.model import AUTH as AUTH
from rcfs.model import MEDIUM as MEDIUM
from rcfs.platform._answer import Answer as Answer
from rcfs.platform._auth import TOKEN_PATH as TOKEN_PATH
from rcfs.platform._auth import Credentials as Credentials
from rcfs.platform._auth import Token as Token
from rcfs.platform._auth import get_token as get_token
from rcfs.platform._auth import is_bearer as is_bearer
from rcfs.platform._auth import refresh_token as refresh_token
from rcfs.platform._auth import revoke_token as revoke_token
from rcfs.platform._auth import token_from as token_from
from rcfs.platform._bulk import MOST_AT_ONCE as MOST_AT_ONCE
from rcfs.platform._bulk import records_by_id as records_by_id
from rcfs.platform._client import Client as Client
from rcfs.platform._document import decoded_object as decoded_object
from rcfs.platform._errors import is_invalid_token as is_invalid_token
from rcfs.platform._errors import refusal as refusal
from rcfs.platform._hosts import AllowedHosts as AllowedHosts
from rcfs.platform._notifications import Frame as Frame
from rcfs.platform._notifications import SocketAccess as SocketAccess
from rcfs.platform._notifications import frame_from as frame_from
from rcfs.platform._notifications import heartbeat_frame as heartbeat_frame
from rcfs.platform._notifications import socket_access as socket_access
from rcfs.platform._notifications import subscription_frame as subscription_frame
from rcfs.platform._pages import SyncAnswer as SyncAnswer
from rcfs.platform._pages import next_page_url as next_page_url
from rcfs.platform._pages import page_totals as page_totals
from rcfs.platform._pages import records_of as records_of
from rcfs.platform._pages import sync_answer as sync_answer
from rcfs.platform._proxies import Proxies as Proxies
from rcfs.platform._proxies import Proxy as Proxy
from rcfs.platform._proxies import proxies_from as proxies_from
from rcfs.platform._requests import LIST_PAGE as LIST_PAGE
from rcfs.platform._requests import Body as Body
from rcfs.platform._requests import Request as Request
from rcfs.platform._requests import following_page as following_page
from rcfs.platform._requests import form_body as form_body
from rcfs.platform._requests import json_body as json_body
from rcfs.platform._requests import list_extensions as list_extensions
from rcfs.platform._requests import list_messages as list_messages
from rcfs.platform._requests import read_account as read_account
from rcfs.platform._requests import read_content as read_content
from rcfs.platform._requests import read_messages as read_messages
from rcfs.platform._requests import read_own_extension as read_own_extension
from rcfs.platform._requests import read_store_configuration as read_store_configuration
from rcfs.platform._requests import redirected as redirected
from rcfs.platform._requests import socket_token as socket_token
from rcfs.platform._requests import sync_messages as sync_messages
from rcfs.platform._requests import wire_time as wire_time
from rcfs.platform._socket import MessageStream as MessageStream
