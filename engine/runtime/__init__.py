"""Everything that waits: the dispatcher, the lanes, the streams and the transport."""

from .accounts import AttemptRecord as AttemptRecord, Inspection as Inspection
from .aws import aws_source as aws_source
from .google import google_source as google_source
from .manager import ProviderManager as ProviderManager
from .oauth import oauth_file_source as oauth_file_source, token_source as token_source
from .opening import open_manager as open_manager
from .provider import AiProvider as AiProvider, ManagedProvider as ManagedProvider
from .senders import httpx_sender as httpx_sender
from .stream import TokenStream as TokenStream
