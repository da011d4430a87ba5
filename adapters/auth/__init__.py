"""How a request proves who sends it."""

from .keys import Key as Key
from .keys import Secret as Secret
from .keys import auth_headers as auth_headers
from .keys import find_keys as find_keys
