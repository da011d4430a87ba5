"""Families of provider APIs, as a client speaks them: one file each, loaded when first needed."""

from .base import Headers as Headers, Interpreter as Interpreter, Wire as Wire, WireRequest as WireRequest
