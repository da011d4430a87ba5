"""Everything that waits: the dispatcher, the lanes, the streams and the transport."""

from .manager import ProviderManager as ProviderManager
from .opening import open_manager as open_manager
from .provider import AiProvider as AiProvider, ManagedProvider as ManagedProvider
from .senders import httpx_sender as httpx_sender
from .stream import TokenStream as TokenStream
