"""The same families of APIs, as a server speaks them. The simulated fleet stands on it; a gateway can."""

from .base import ServedError as ServedError, Serving as Serving
