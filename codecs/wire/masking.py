"""Keys out of what is shown: answers echo what was sent, and pages of gateways show more than they should."""

from __future__ import annotations

import re

__all__ = ["masked"]

_SECRET = re.compile(
    r"\b(Bearer\s+)[^\s\"']{6,}"
    r"|\b((?:sk|gsk|xai|pplx|csk|hf|fw|rk|pk|nvapi|AIza|ya29|AKIA|ASIA)[-_.]?)[A-Za-z0-9_\-*.]{10,}"
    r"|([?&](?:key|api[-_]?key|token)=)[^&\s\"']+"
)


def masked(text: str) -> str:
    """The text with everything that looks like a key cut out: error messages echo what was sent ("Incorrect API key: ...")."""
    return _SECRET.sub(lambda found: (found[1] or found[2] or found[3] or "") + "***", text)
