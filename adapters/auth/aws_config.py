"""The shared files of AWS (``~/.aws/config``, ``~/.aws/credentials``): their text to profiles, and what they and the environment set together.

The format is that of the AWS SDKs' reference guide ("Shared config and credentials files", read 2026-11) as the SDKs' common test cases
have it, which is stricter than INI:

1. ``[section]`` begins in the first column. In the config file sections are ``[default]``, ``[profile NAME]``, ``[sso-session NAME]`` and
   ``[services NAME]``; in the credentials file every section is a profile. Others are passed over with all they hold.
2. ``name = value``: names are taken in lower case. A comment behind a value begins with a blank and ``#`` or ``;``.
3. A line further in than the setting above it goes on with that one's value; there ``#`` and ``;`` behind something are text. Below an
   empty value such lines are settings of their own (``s3 =``). A whole section may stand further in, as botocore reads it too.
4. Of two sections, or properties, of one name, the later ones are added and win. ``[profile default]`` puts ``[default]`` out of effect.
   The credentials file wins over the config file.

A file that breaks these rules is refused whole: half of it might be another profile's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from tercet.codecs.vocabulary import ConfigurationError

from .steps import Search, read_file

__all__ = [
    "AwsSettings",
    "SharedConfig",
    "load_settings",
    "parse_shared_file",
    "region_of_host",
    "service_host",
    "shared_config",
]

Properties = dict[str, str]
Sections = dict[str, Properties]
_Kind = Literal["config", "credentials"]

_SECTION = re.compile(r"\[([^\]]*)\][ \t]*(?:[#;].*)?")
_COMMENT = re.compile(r"[ \t][#;].*")
_NAME = re.compile(r"[A-Za-z0-9_\-/.%@:+]+")  # the SDKs' common set for names of profiles and of properties
_SIZE = 1024 * 1024
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d+")


class SharedConfig(msgspec.Struct, frozen=True):
    """What both files say: profiles, and in the config file SSO sessions and sections of services. The repr shows names alone."""

    profiles: Sections
    sso_sessions: Sections
    services: Sections

    def __repr__(self) -> str:
        return f"<SharedConfig {', '.join(sorted(self.profiles))}>"


def parse_shared_file(text: str, where: str) -> Sections:
    """The sections of a file as they stand in it, blanks in their names as one each. Values of several lines have line feeds in them.

    ``where`` is the file's path, for errors. Raises :class:`ConfigurationError` with the number of the line, never the line.
    """
    if len(text) > _SIZE:
        raise ConfigurationError(f"{where} is larger than {_SIZE} characters")
    sections: Sections = {}
    section: Properties | None = None
    name = ""
    depth = 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        wrong = f"{where}, line {number}"
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and not indent:
            header = _SECTION.fullmatch(line)
            if header is None:
                raise ConfigurationError(f"{wrong}: a section's name ends with ']'")
            section, name = sections.setdefault(" ".join(header[1].split()), {}), ""
        elif section is None:
            raise ConfigurationError(f"{wrong}: something stands in front of the first section")
        elif name and indent > depth:
            _continue(section, name, line, wrong)
        else:
            name, value = _property(_COMMENT.sub("", line, count=1), wrong)
            section[name], depth = value, indent
    return sections


def _continue(section: Properties, name: str, more: str, wrong: str) -> None:
    if section[name] == "" or section[name].startswith("\n"):
        _property(more, wrong)  # a property of a property is checked here and kept as text
    section[name] += f"\n{more}"


def _property(line: str, wrong: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals:
        raise ConfigurationError(f"{wrong}: a setting is written 'name = value'")
    if not name.strip():
        raise ConfigurationError(f"{wrong}: the setting has no name")
    return name.strip().lower(), value.strip()


def shared_config(config: Sections, credentials: Sections) -> SharedConfig:
    """The sections of the two files put together, by rules 1 and 4."""
    profiles: Sections = {}
    sso_sessions: Sections = {}
    services: Sections = {}
    homes = {"profile": profiles, "sso-session": sso_sessions, "services": services}
    for title, properties in config.items():
        kind, _, name = title.partition(" ")
        if title == "default":
            if "profile default" not in config:
                _add(profiles, "default", properties)
        elif kind in homes:
            _add(homes[kind], name, properties)
    for title, properties in credentials.items():
        _add(profiles, title, properties)
    return SharedConfig(profiles, sso_sessions, services)


def _add(home: Sections, name: str, properties: Properties) -> None:
    if _NAME.fullmatch(name):
        good = {key: value for key, value in properties.items() if _NAME.fullmatch(key)}
        home.setdefault(name, {}).update(good)


class AwsSettings(msgspec.Struct, frozen=True):
    """Environment and files together, for one profile. The repr shows the profile's name alone.

    ``is_named``: someone asked for this profile; else it is ``default`` because nobody did. ``region`` is the one given in the program, if any.
    """

    environ: Mapping[str, str]
    shared: SharedConfig
    profile: str
    is_named: bool
    given_region: str | None = None

    def __repr__(self) -> str:
        return f"<AwsSettings of profile {self.profile}>"

    def variable(self, name: str) -> str | None:
        """An environment variable; a blank one is none."""
        return self.environ.get(name, "").strip() or None

    def get(self, variable: str, name: str) -> str | None:
        """A setting: the environment's, else the profile's."""
        return self.variable(variable) or self.shared.profiles.get(self.profile, {}).get(name) or None

    def is_set(self, variable: str, name: str) -> bool:
        """A setting that is ``true`` or not."""
        return (self.get(variable, name) or "").lower() == "true"

    @property
    def region(self) -> str | None:
        """The program's, else ``AWS_REGION``, ``AWS_DEFAULT_REGION``, else the profile's; None if none says."""
        return self.given_region or self.variable("AWS_REGION") or self.get("AWS_DEFAULT_REGION", "region")

    def endpoint(self, service: str, prefix: str, region: str) -> str:
        """The base URL of a service that gives credentials, such as ``sts``; ``prefix`` is how its hosts begin.

        A configured one wins ("Service-specific endpoints", AWS SDKs' reference guide): for the service before for all, the environment
        before the profile.
        """
        if not self.is_set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"):
            profile = self.shared.profiles.get(self.profile, {})
            section = self.shared.services.get(profile.get("services", ""), {})
            configured = (
                self.variable(f"AWS_ENDPOINT_URL_{service.upper()}")
                or self.variable("AWS_ENDPOINT_URL")
                or _nested(section.get(service, "")).get("endpoint_url")
                or profile.get("endpoint_url")
            )
            if configured:
                return configured
        host = service_host(
            prefix,
            region,
            fips=self.is_set("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            dualstack=self.is_set("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        )
        return f"https://{host}"


def _nested(value: str) -> Properties:
    return dict(_property(line, "services") for line in value.split("\n") if line)


def load_settings(
    environ: Mapping[str, str], *, profile: str | None = None, region: str | None = None
) -> Search[AwsSettings]:
    """Read both files, where they are, and join them with the environment.

    ``AWS_CONFIG_FILE`` and ``AWS_SHARED_CREDENTIALS_FILE`` name other files; without them and without a home folder (``HOME``, ``USERPROFILE``)
    none are read. ``profile`` is the program's choice, else ``AWS_PROFILE`` has it. Raises :class:`ConfigurationError`.
    """
    sections: dict[_Kind, Sections] = {}
    home = environ.get("HOME") or environ.get("USERPROFILE")
    named: tuple[tuple[_Kind, str], ...] = (
        ("config", "AWS_CONFIG_FILE"),
        ("credentials", "AWS_SHARED_CREDENTIALS_FILE"),
    )
    for kind, variable in named:
        path = environ.get(variable) or (f"{home}/.aws/{kind}" if home else "")
        text = (yield from read_file(path, f"the AWS {kind} file")) if path else None
        sections[kind] = parse_shared_file(text or "", path)
    shared = shared_config(sections["config"], sections["credentials"])
    wanted = profile or environ.get("AWS_PROFILE", "").strip()
    return AwsSettings(environ, shared, wanted or "default", bool(wanted), region)


# What AWS calls its parts of the world, by how the names of their regions begin: (begins with, suffix, suffix for dual stack). From botocore's
# partitions.json (1.44); everything else is the commercial one.
_PARTITIONS = (
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("", "amazonaws.com", "api.aws"),
)


def service_host(prefix: str, region: str, *, fips: bool = False, dualstack: bool = False) -> str:
    """The host of a regional service: ``sts``, ``us-east-1`` to ``sts.us-east-1.amazonaws.com``. Raises :class:`ConfigurationError` for no region."""
    if not _REGION.fullmatch(region):
        raise ConfigurationError(f"{region!r} is not the name of an AWS region, such as us-east-1")
    suffix = next(
        (dual if dualstack else usual) for begins, usual, dual in _PARTITIONS if region.startswith(begins)
    )
    is_fips_anyway = prefix == "sts" and region.startswith("us-gov-") and not dualstack
    return f"{prefix}{'-fips' if fips and not is_fips_anyway else ''}.{region}.{suffix}"


def region_of_host(host: str) -> str | None:
    """The region in a host's name (``bedrock-runtime.eu-central-1.amazonaws.com``), None if there is none."""
    labels = host.lower().split(".")
    return next((label for label in labels[1:] if _REGION.fullmatch(label)), None)
