"""The HTTP/1.1 client transport. The bridge to httpx is a module of its own, ``httpx_bridge``, and not loaded from here."""

from .content import ContentDecoder as ContentDecoder
from .dialing import Resolver as Resolver
from .http1 import H11Parser as H11Parser
from .http1 import HttptoolsParser as HttptoolsParser
from .http1 import ResponseParser as ResponseParser
from .http1 import TransportLimits as TransportLimits
from .network import Connection as Connection
from .network import Network as Network
from .network import SocketNetwork as SocketNetwork
from .network import StreamConnection as StreamConnection
from .network import default_ssl_context as default_ssl_context
from .proxy import Proxy as Proxy
from .proxy import ProxyMap as ProxyMap
from .proxy import proxies_from_environ as proxies_from_environ
from .request import Forward as Forward
from .request import check_headers as check_headers
from .request import encode_request as encode_request
from .response import Response as Response
from .transport import Transport as Transport
from .transport import TransportStatistics as TransportStatistics
