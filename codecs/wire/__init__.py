"""Families of provider APIs, as a client speaks them: one file each, loaded when first needed."""

from .base import Headers as Headers
from .base import Interpreter as Interpreter
from .base import Wire as Wire
from .base import WireRequest as WireRequest
