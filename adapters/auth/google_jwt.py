"""The signed statement by which a Google service account asks for an access token (RFC 7523, RS256 of RFC 7518 section 3.3).

Google's "Using OAuth 2.0 for Server to Server Applications" (read 2026-08) is the source: the account's e-mail as ``iss``, the scope, the token
endpoint as ``aud``, and at most an hour of life. What is said is pure; only the signature takes the extra ``cryptography``.
"""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Mapping
from typing import Any

from tercet.codecs.vocabulary import ConfigurationError

__all__ = ["CLOUD_PLATFORM", "NO_SIGNER", "service_account_claims", "signed_jwt"]

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
NO_SIGNER = "no_signer"
_LIFETIME = 3600  # seconds, the most that Google allows


def service_account_claims(email: str, scope: str, audience: str, at: float) -> dict[str, Any]:
    """What the account says: ``at`` is in Unix seconds, ``audience`` the token endpoint."""
    issued = int(at)
    return {"iss": email, "scope": scope, "aud": audience, "exp": issued + _LIFETIME, "iat": issued}


def signed_jwt(claims: Mapping[str, Any], private_key: str, key_id: str | None = None) -> str:
    """The claims as a JSON Web Token, signed with the private key (PEM, PKCS #8, RSA) of the account's key file.

    Raises ``ConfigurationError`` for a key that is none, which it does not show, and where ``cryptography`` is not installed
    (code ``no_signer``).
    """
    header = {"alg": "RS256"} if key_id is None else {"alg": "RS256", "kid": key_id}
    text = f"{_part(header)}.{_part(claims)}"
    return f"{text}.{_base64(_rs256(text.encode(), private_key))}"


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _rs256(data: bytes, private_key: str) -> bytes:
    try:
        hashes: Any = importlib.import_module("cryptography.hazmat.primitives.hashes")
        serialization: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
        padding: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.padding")
        rsa: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    except ImportError:
        raise ConfigurationError(
            "signing for a service account takes cryptography: pip install 'tercet[vertex]'",
            code=NO_SIGNER,
        ) from None
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError):
        raise ConfigurationError(
            "the service account's private_key is not a PEM key without a password"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError("the service account's private_key is not an RSA key")
    signature: bytes = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return signature
