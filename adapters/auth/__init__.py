"""How a request proves who sends it."""

from .keys import (
    Anonymous as Anonymous,
    Credential as Credential,
    Key as Key,
    Secret as Secret,
    find_keys as find_keys,
)
from .tokens import AccessToken as AccessToken
