"""The first floor: providers, as data and a few oddities. Pure: secrets and time are handed in."""

from .adapter import Adapter as Adapter
from .call import HttpCall as HttpCall, Origin as Origin
from .profile import Profile as Profile
from .registry import ProviderRegistry as ProviderRegistry
