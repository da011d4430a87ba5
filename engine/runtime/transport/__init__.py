"""The HTTP/1.1 client transport. The bridge to httpx is a module of its own, ``httpx_bridge``, and not loaded from here."""

from .content import ContentDecoder as ContentDecoder
from .dialing import Resolver as Resolver
from .http1 import (
    H11Parser as H11Parser,
    HttptoolsParser as HttptoolsParser,
    ResponseParser as ResponseParser,
    TransportLimits as TransportLimits,
)
from .network import (
    Connection as Connection,
    Network as Network,
    SocketNetwork as SocketNetwork,
    StreamConnection as StreamConnection,
    default_ssl_context as default_ssl_context,
)
from .proxy import Proxy as Proxy, ProxyMap as ProxyMap, proxies_from_environ as proxies_from_environ
from .request import Forward as Forward, check_headers as check_headers, encode_request as encode_request
from .response import Response as Response
from .transport import Transport as Transport, TransportStatistics as TransportStatistics
