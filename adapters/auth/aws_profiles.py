"""From a profile of AWS's shared files to the way its credentials come about: where they begin, and the roles taken on after that. Pure.

The rules, as the SDKs' common test cases have them ("Assume role credentials", AWS SDKs' reference guide, read 2026-11):

1. ``role_arn`` makes a profile a role: taken on with the credentials of its ``source_profile`` or its ``credential_source``, one of them.
   With ``web_identity_token_file`` it begins there instead.
2. A source profile with keys of its own is where it begins, whatever else it says. A profile that is its own source begins with its keys.
3. What is no role begins with, in this order, ``credential_source``, web identity, SSO, ``credential_process``, keys.
4. Profiles that name each other in a ring, half a pair of keys, and half an SSO configuration are errors: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from tercet.codecs.vocabulary import ConfigurationError

from .aws_config import SharedConfig

__all__ = [
    "Base",
    "NamedSource",
    "Process",
    "ProfileChain",
    "Role",
    "Sso",
    "StaticKeys",
    "WebIdentity",
    "has_credentials",
    "profile_chain",
]

Properties = Mapping[str, str]


class StaticKeys(msgspec.Struct, frozen=True):
    """Keys that stand in the file. The repr shows none of them."""

    access_key: str
    secret_key: str
    session_token: str | None = None
    account_id: str | None = None

    def __repr__(self) -> str:
        return "<StaticKeys>"


class NamedSource(msgspec.Struct, frozen=True):
    """``Environment``, ``Ec2InstanceMetadata`` or ``EcsContainer``."""

    name: str


class Process(msgspec.Struct, frozen=True):
    """A command that prints credentials. ``account_id`` is what the profile says, for a command that does not. The repr shows no command."""

    command: str
    account_id: str | None = None

    def __repr__(self) -> str:
        return "<Process>"


class Sso(msgspec.Struct, frozen=True):
    """IAM Identity Center. ``session`` is the name of the session, None in the older form. Without account and role there is a token only."""

    start_url: str
    region: str
    session: str | None = None
    account_id: str | None = None
    role_name: str | None = None


class WebIdentity(msgspec.Struct, frozen=True):
    """A role taken on with a token that someone else issued (Kubernetes, a CI)."""

    role_arn: str
    token_file: str
    session_name: str | None = None


class Role(msgspec.Struct, frozen=True):
    """A role to be taken on with the credentials before it. ``duration`` is in seconds."""

    arn: str
    session_name: str | None = None
    external_id: str | None = None
    duration: int | None = None


Base: TypeAlias = StaticKeys | NamedSource | Process | Sso | WebIdentity


class ProfileChain(msgspec.Struct, frozen=True):
    """Where credentials begin, and the roles in the order in which they are taken on."""

    base: Base
    roles: tuple[Role, ...] = ()


_OF_CREDENTIALS = frozenset(
    {
        "role_arn",
        "source_profile",
        "credential_source",
        "web_identity_token_file",
        "credential_process",
        "aws_access_key_id",
        "aws_secret_access_key",
        "sso_session",
        "sso_account_id",
        "sso_role_name",
        "sso_start_url",
    }
)
_SOURCES = ("Environment", "Ec2InstanceMetadata", "EcsContainer")


def has_credentials(properties: Properties) -> bool:
    """Whether a profile says anything of credentials; one that only names a region does not."""
    return not _OF_CREDENTIALS.isdisjoint(properties)


def profile_chain(shared: SharedConfig, profile: str) -> ProfileChain:
    """How the credentials of ``profile`` come about. Raises :class:`ConfigurationError` that names the profile and what is wrong with it."""
    roles: list[Role] = []
    visited: list[str] = []
    name = profile
    while True:
        properties = shared.profiles.get(name)
        if properties is None:
            by = f", which {visited[-1]!r} names as its source_profile" if visited else ""
            raise ConfigurationError(f"there is no AWS profile {name!r}{by}")
        if name in visited:
            ring = " -> ".join([*visited, name])
            raise ConfigurationError(f"the AWS profiles {ring} name each other in a ring")
        if visited and _has_keys(properties):
            base: Base = _keys(properties, name)
            break
        visited.append(name)
        if "role_arn" not in properties or "web_identity_token_file" in properties:
            base = _base(shared, properties, name)
            break
        source = _source(properties, name)
        roles.append(_role(properties, name))
        if isinstance(source, NamedSource):
            base = source
            break
        if source == name:
            base = _keys(properties, name)
            break
        name = source
    return ProfileChain(base, tuple(reversed(roles)))


def _source(properties: Properties, name: str) -> str | NamedSource:
    """The profile, or the place, that a role's first credentials come from."""
    profile, place = properties.get("source_profile"), properties.get("credential_source")
    if profile and place:
        raise ConfigurationError(
            f"the AWS profile {name!r} has both source_profile and credential_source: take one out"
        )
    if place:
        return _named(place, name)
    if profile:
        return profile
    raise ConfigurationError(
        f"the AWS profile {name!r} has a role_arn, and neither source_profile nor credential_source says who takes it on"
    )


def _named(place: str, name: str) -> NamedSource:
    if place not in _SOURCES:
        raise ConfigurationError(
            f"the AWS profile {name!r} has credential_source = {place}; there are {', '.join(_SOURCES)}"
        )
    return NamedSource(place)


def _role(properties: Properties, name: str) -> Role:
    if "mfa_serial" in properties:
        raise ConfigurationError(
            f"the AWS profile {name!r} has an mfa_serial, and a program cannot type the code: make a session with "
            "'aws configure export-credentials --profile ... --format env', or use SSO"
        )
    duration = properties.get("duration_seconds")
    if duration is not None and not (duration.isascii() and duration.isdigit()):
        raise ConfigurationError(
            f"the AWS profile {name!r} has duration_seconds = {duration}, which is no number"
        )
    return Role(
        properties["role_arn"],
        properties.get("role_session_name"),
        properties.get("external_id"),
        None if duration is None else int(duration),
    )


def _base(shared: SharedConfig, properties: Properties, name: str) -> Base:
    if place := properties.get("credential_source"):
        return _named(place, name)
    if token_file := properties.get("web_identity_token_file"):
        if not properties.get("role_arn"):
            raise ConfigurationError(
                f"the AWS profile {name!r} has web_identity_token_file, but role_arn was missing"
            )
        return WebIdentity(properties["role_arn"], token_file, properties.get("role_session_name"))
    if any(properties.get(f"sso_{key}") for key in ("session", "account_id", "role_name", "start_url")):
        return _sso(shared, properties, name)
    if command := properties.get("credential_process"):
        return Process(command, properties.get("aws_account_id"))
    return _keys(properties, name)


def _sso(shared: SharedConfig, properties: Properties, name: str) -> Sso:
    account, role = properties.get("sso_account_id"), properties.get("sso_role_name")
    if bool(account) != bool(role):
        has, lacks = ("sso_account_id", "sso_role_name") if account else ("sso_role_name", "sso_account_id")
        raise ConfigurationError(f"the AWS profile {name!r} has {has} and no {lacks}")
    session = properties.get("sso_session")
    facts = properties
    if session:
        found = shared.sso_sessions.get(session)
        if found is None:
            raise ConfigurationError(
                f"there is no [sso-session {session}], which the AWS profile {name!r} names"
            )
        facts = found
        for key in ("sso_region", "sso_start_url"):
            if key in properties and properties[key] != facts.get(key):
                raise ConfigurationError(
                    f"{key} of the AWS profile {name!r} belongs in [sso-session {session}], which says something else"
                )
    start_url, region = facts.get("sso_start_url"), facts.get("sso_region")
    if not start_url or not region:
        lacks = "sso_region" if start_url else "sso_start_url"
        where = f"[sso-session {session}]" if session else f"the AWS profile {name!r}"
        raise ConfigurationError(f"{where} has no {lacks}")
    if not session and not account:
        raise ConfigurationError(f"the AWS profile {name!r} has no sso_account_id and no sso_role_name")
    return Sso(start_url, region, session, account, role)


def _has_keys(properties: Properties) -> bool:
    return bool(properties.get("aws_access_key_id") and properties.get("aws_secret_access_key"))


def _keys(properties: Properties, name: str) -> StaticKeys:
    access, secret = properties.get("aws_access_key_id"), properties.get("aws_secret_access_key")
    if not access and not secret:
        raise ConfigurationError(f"the AWS profile {name!r} says nothing of credentials")
    if not access or not secret:
        lacks = "aws_secret_access_key" if access else "aws_access_key_id"
        raise ConfigurationError(f"the AWS profile {name!r} has no {lacks}, which goes with the key it has")
    return StaticKeys(access, secret, properties.get("aws_session_token"), properties.get("aws_account_id"))
