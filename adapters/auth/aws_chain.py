"""Where AWS credentials are looked for, and in which order: the default chain of the AWS SDKs, as a search (:mod:`.steps`).

1. the environment: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``; not when the program itself names a profile;
2. the profile of the shared files: keys, roles (STS AssumeRole), ``credential_process``, SSO, web identity (:mod:`.aws_profiles`);
3. web identity by environment: ``AWS_WEB_IDENTITY_TOKEN_FILE`` and ``AWS_ROLE_ARN`` (Kubernetes);
4. the container's endpoint: ``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`` or ``..._FULL_URI`` (ECS, EKS);
5. the instance's metadata, IMDSv2 (EC2), unless ``AWS_EC2_METADATA_DISABLED`` is ``true``.

What is not configured is passed over; what is configured and fails is an error, never a reason to sign as somebody else. (From "Credential
provider chain", AWS SDKs' and tools' reference guide, read 2026-11, and the SDKs' common test cases.)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

from tercet.codecs.vocabulary import (
    AuthenticationError,
    ConfigurationError,
    ProtocolError,
    TransportError,
)

from .aws_config import AwsSettings, load_settings
from .aws_profiles import (
    Base,
    NamedSource,
    Process,
    Role,
    Sso,
    StaticKeys,
    WebIdentity,
    has_credentials,
    profile_chain,
)
from .aws_results import AwsFound, found_in_json, found_in_xml, sts_refusal
from .aws_sso import sso_credentials
from .sigv4 import AwsCredentials, sign
from .steps import (
    Exited,
    RunProcess,
    Search,
    ask,
    ask_nearby,
    call_to,
    json_object,
    read_file,
    refusal,
)

__all__ = ["container_uri", "find_aws_credentials", "from_profile", "imds_endpoint"]

_PROCESS_SECONDS = 60.0
_IMDS_TOKEN_SECONDS = 21600
_FORM = ("content-type", "application/x-www-form-urlencoded")


def find_aws_credentials(
    environ: Mapping[str, str],
    *,
    now: float,
    profile: str | None = None,
    region: str | None = None,
) -> Search[AwsFound]:
    """The first credentials the chain finds. ``now`` is Unix time.

    Raises :class:`ConfigurationError` where nothing is configured or something is wrongly so, :class:`AuthenticationError` where a service
    refuses, :class:`TransportError` where it does not answer.
    """
    found = None if profile else _from_environ(environ)
    if found is not None and (set_ := region or _region_in(environ)):
        return msgspec.structs.replace(found, region=set_)
    settings = yield from load_settings(environ, profile=profile, region=region)
    if found is None:
        found = yield from _search(settings, now)
    return msgspec.structs.replace(found, region=settings.region)


def _region_in(environ: Mapping[str, str]) -> str | None:
    return environ.get("AWS_REGION", "").strip() or environ.get("AWS_DEFAULT_REGION", "").strip() or None


def _search(settings: AwsSettings, now: float) -> Search[AwsFound]:
    """The chain from the files on."""
    properties = settings.shared.profiles.get(settings.profile)
    if has_credentials(properties or {}) or (settings.is_named and properties is None):
        return (yield from from_profile(settings, now))
    if token_file := settings.variable("AWS_WEB_IDENTITY_TOKEN_FILE"):
        role = settings.variable("AWS_ROLE_ARN")
        if role is None:
            raise ConfigurationError("AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not")
        wanted = WebIdentity(role, token_file, settings.variable("AWS_ROLE_SESSION_NAME"))
        return (yield from _web_identity(settings, wanted, now))
    if container_uri(settings.environ) is not None:
        return (yield from _container(settings))
    if (found := (yield from _imds(settings, is_wanted=False))) is not None:
        return found
    raise ConfigurationError(
        "no AWS credentials were found: not in AWS_ACCESS_KEY_ID, not in a profile of ~/.aws/config and ~/.aws/credentials "
        "(AWS_PROFILE), not in a web identity, not in a container, not in an instance's metadata. "
        "AWS_BEARER_TOKEN_BEDROCK, an API key, needs none of them."
    )


def from_profile(settings: AwsSettings, now: float) -> Search[AwsFound]:
    """The credentials of the settings' profile, its roles taken on one after the other. Raises as the chain does."""
    chain = profile_chain(settings.shared, settings.profile)
    found = yield from _begin(settings, chain.base, now)
    for role in chain.roles:
        found = yield from _assume(settings, role, found, now)
    return found


def _begin(settings: AwsSettings, base: Base, now: float) -> Search[AwsFound]:
    source = f"the profile {settings.profile}"
    match base:
        case StaticKeys():
            keys = AwsCredentials(base.access_key, base.secret_key, base.session_token)
            return AwsFound(keys, source, base.account_id)
        case Process():
            return (yield from _process(base, source))
        case Sso():
            return (yield from sso_credentials(settings, base, now))
        case WebIdentity():
            return (yield from _web_identity(settings, base, now))
        case NamedSource("Environment"):
            found = _from_environ(settings.environ)
        case NamedSource("EcsContainer"):
            found = (yield from _container(settings)) if container_uri(settings.environ) else None
        case NamedSource():
            found = yield from _imds(settings, is_wanted=True)
    if found is None:
        raise ConfigurationError(
            f"{source} begins with credential_source = {base.name}, and there is nothing"
        )
    return found


# -- the environment, a command ---------------------------------------------------------------------------------------------


def _from_environ(environ: Mapping[str, str]) -> AwsFound | None:
    access, secret, token, account = (
        environ.get(name, "").strip()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCOUNT_ID")
    )
    if not access and not secret:
        return None
    if not access or not secret:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        has, lacks = names if access else names[::-1]
        raise ConfigurationError(f"{has} is set and {lacks} is not")
    return AwsFound(AwsCredentials(access, secret, token or None), "AWS_ACCESS_KEY_ID", account or None)


def _process(wanted: Process, source: str) -> Search[AwsFound]:
    """``credential_process``: a command line for the shell, which prints JSON ("Process credential provider", read 2026-11)."""
    what = f"the credential_process of {source}"
    ended: Exited = yield RunProcess(wanted.command, _PROCESS_SECONDS)
    if ended.code != 0:
        raise AuthenticationError(f"{what} ended with exit code {ended.code}")
    said = json_object(ended.stdout, f"what {what} printed")
    if said.get("Version") != 1:
        raise ProtocolError(f"{what} printed another version than 1", retryable=False)
    found = found_in_json(said, what, token="SessionToken")
    return found if found.account_id else msgspec.structs.replace(found, account_id=wanted.account_id)


# -- STS --------------------------------------------------------------------------------------------------------------------


def _assume(settings: AwsSettings, role: Role, found: AwsFound, now: float) -> Search[AwsFound]:
    """STS AssumeRole, signed with the credentials before it."""
    fields = {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": role.arn,
        "RoleSessionName": role.session_name or _session_name(now),
    }
    if role.external_id:
        fields["ExternalId"] = role.external_id
    if role.duration:
        fields["DurationSeconds"] = str(role.duration)
    return (yield from _sts(settings, fields, found.credentials, now))


def _web_identity(settings: AwsSettings, wanted: WebIdentity, now: float) -> Search[AwsFound]:
    """STS AssumeRoleWithWebIdentity: the token in the file is the proof, nothing is signed."""
    token = yield from read_file(wanted.token_file, "the web identity token")
    if token is None:
        raise ConfigurationError(f"there is no web identity token at {wanted.token_file}")
    fields = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": wanted.role_arn,
        "RoleSessionName": wanted.session_name or _session_name(now),
        "WebIdentityToken": token.strip(),
    }
    return (yield from _sts(settings, fields, None, now))


def _session_name(now: float) -> str:
    return f"tercet-{int(now * 1000)}"


def _sts(
    settings: AwsSettings, fields: Mapping[str, str], credentials: AwsCredentials | None, now: float
) -> Search[AwsFound]:
    region = settings.region or "us-east-1"
    body = urlencode(fields).encode()
    call = call_to("POST", settings.endpoint("sts", "sts", region), [_FORM], body)
    if credentials is not None:
        headers = (("host", call.origin.authority), *call.headers)
        proof = sign("POST", call.target, "", headers, body, credentials, now, region=region, service="sts")
        call = msgspec.structs.replace(call, headers=(*call.headers, *proof))
    answer = yield from ask(call)
    what = f"{fields['Action']} of {fields['RoleArn']}"
    if answer.status != 200:
        raise sts_refusal(what, answer, fields.get("WebIdentityToken", ""))
    return found_in_xml(answer.body, what)


# -- containers -------------------------------------------------------------------------------------------------------------

_CONTAINER_HOST = "http://169.254.170.2"
_CONTAINER_ADDRESSES = frozenset(
    {"169.254.170.2", "169.254.170.23", "fd00:ec2::23"}
)  # ECS, EKS, EKS over IPv6


def container_uri(environ: Mapping[str, str]) -> str | None:
    """The URL of the container's credentials, None where there is none.

    Raises :class:`ConfigurationError` for a URL that would send the container's token over the network in the clear.
    """
    relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "").strip()
    if relative:
        return _CONTAINER_HOST + relative
    full = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "").strip()
    if not full:
        return None
    origin = call_to("GET", full).origin
    if origin.scheme == "https" or origin.host in _CONTAINER_ADDRESSES or _is_loopback(origin.host):
        return full
    raise ConfigurationError(
        f"AWS_CONTAINER_CREDENTIALS_FULL_URI points to {origin}: only https, this machine, and the container hosts of ECS and EKS may be asked"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _container(settings: AwsSettings) -> Search[AwsFound]:
    uri = container_uri(settings.environ)
    assert uri is not None  # whoever comes here has looked
    headers = [("accept", "application/json")]
    token = settings.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if token_file := settings.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        text = yield from read_file(token_file, "the container's authorization token")
        if text is None:
            raise ConfigurationError(f"there is no container authorization token at {token_file}")
        token = text.strip()
    if token:
        headers.append(("authorization", token))
    what = "the container's credential endpoint"
    answer = yield from ask_nearby(call_to("GET", uri, headers))
    if answer.status != 200:
        raise refusal(f"a request to {what}", answer.status, None, "")
    return found_in_json(json_object(answer.body, f"the answer of {what}"), what, token="Token")


# -- the instance's metadata --------------------------------------------------------------------------------------------------

_IMDS_ENDPOINTS = {"ipv4": "http://169.254.169.254", "ipv6": "http://[fd00:ec2::254]"}
_IMDS_ROLES = "/latest/meta-data/iam/security-credentials/"


def imds_endpoint(settings: AwsSettings) -> str:
    """The base URL of the metadata service. Raises :class:`ConfigurationError` for an endpoint or a mode there is not."""
    endpoint = settings.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint")
    if endpoint:
        call_to("GET", endpoint)  # a wrong one is an error here
        return endpoint.rstrip("/")
    mode = settings.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode")
    found = _IMDS_ENDPOINTS.get((mode or "ipv4").lower())
    if found is None:
        raise ConfigurationError(f"{mode!r} is no mode of the EC2 metadata service: IPv4 or IPv6")
    return found


def _imds(settings: AwsSettings, *, is_wanted: bool) -> Search[AwsFound | None]:
    """IMDSv2 ("Use IMDS", EC2 user guide, read 2026-11): a token by PUT, the role's name, the role's credentials.

    Version 1, without a token, is not asked: whoever can make a server fetch a URL could get keys through it. None where there is no such
    service; where it ``is_wanted``, that is an error. In a container one hop is too few: raise the instance's hop limit to 2.
    """
    if (settings.variable("AWS_EC2_METADATA_DISABLED") or "").lower() == "true":
        return None
    base = imds_endpoint(settings)
    try:
        granted = yield from ask_nearby(
            call_to(
                "PUT",
                f"{base}/latest/api/token",
                [("x-aws-ec2-metadata-token-ttl-seconds", str(_IMDS_TOKEN_SECONDS))],
            )
        )
    except TransportError as error:
        if is_wanted:
            raise error.at(code="imds_unreachable") from None
        return None
    if granted.status != 200:
        if granted.status == 403 or is_wanted:
            way_out = "IMDS is disabled for this instance" if granted.status == 403 else ""
            raise refusal("a token of the EC2 metadata service", granted.status, None, way_out)
        return None
    headers = [("x-aws-ec2-metadata-token", granted.body.decode("latin-1").strip())]
    named = yield from ask_nearby(call_to("GET", base + _IMDS_ROLES, headers))
    if named.status == 404:
        return None  # the instance has no role
    role = named.body.decode("utf-8", "replace").strip()
    if named.status != 200 or not role:
        raise refusal("the name of the instance's role", named.status, None, "")
    given = yield from ask_nearby(
        call_to("GET", f"{base}{_IMDS_ROLES}{quote(role, safe='+=,.@_-')}", headers)
    )
    what = f"the EC2 metadata service, for the role {role}"
    if given.status != 200:
        raise refusal(f"a request to {what}", given.status, None, "")
    said = json_object(given.body, f"the answer of {what}")
    if said.get("Code", "Success") != "Success":
        raise AuthenticationError(f"{what}, says {said['Code']}", code=str(said["Code"]))
    return found_in_json(said, what, token="Token")
