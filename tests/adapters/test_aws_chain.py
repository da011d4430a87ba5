"""The AWS chain against the cases that the AWS SDKs share (smithy-rs), and what they leave out."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tercet.adapters.auth.aws_chain import (
    container_uri,
    find_aws_credentials,
    from_profile,
    imds_endpoint,
)
from tercet.adapters.auth.aws_config import (
    AwsSettings,
    SharedConfig,
    load_settings,
    parse_shared_file,
    region_of_host,
    service_host,
    shared_config,
)
from tercet.adapters.auth.aws_credential import AwsCredential
from tercet.adapters.auth.aws_profiles import (
    NamedSource,
    Process,
    Sso,
    StaticKeys,
    WebIdentity,
    profile_chain,
)
from tercet.adapters.auth.aws_results import AwsFound
from tercet.adapters.auth.aws_sso import SsoToken, sso_token
from tercet.adapters.auth.sigv4 import AwsCredentials, sign
from tercet.adapters.auth.steps import Answer, Ask, Exited, Pause, ReadFile, RunProcess, WriteFile
from tercet.adapters.call import HttpCall, Origin
from tercet.codecs.vocabulary import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ProtocolError,
    ServerError,
    TercetError,
    TransportError,
)

NOW = 1_600_000_000.0


class Driver:
    """Drives a search over files in a dictionary and answers in a list. ``asked`` has the calls, ``secrets`` what no error may show."""

    def __init__(self, files: Mapping[str, str] | None = None, answers: list[Any] | None = None) -> None:
        self.files = dict(files or {})
        self.answers = list(answers or [])
        self.asked: list[Ask] = []
        self.pauses: list[float] = []
        self.run_process: Callable[[str], Exited] = lambda command: Exited(127, b"")

    def run(self, search: Any) -> Any:
        value: Any = None
        failure: Exception | None = None
        try:
            while True:
                step = search.throw(failure) if failure is not None else search.send(value)
                value, failure = None, None
                try:
                    value = self._do(step)
                except (OSError, TransportError) as error:
                    failure = error
        except StopIteration as end:
            return end.value

    def _do(self, step: Any) -> Any:
        match step:
            case ReadFile(path):
                if path not in self.files:
                    raise FileNotFoundError(2, "No such file or directory")
                return self.files[path]
            case WriteFile(path, text):
                self.files[path] = text
            case RunProcess(command):
                return self.run_process(command)
            case Pause(seconds):
                self.pauses.append(seconds)
            case Ask(call):
                self.asked.append(step)
                if not self.answers:
                    raise ConnectError(f"nobody answers at {call.origin}")
                answer = self.answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return None


def answer(status: int, body: str | Mapping[str, Any] = "") -> Answer:
    return Answer(status, {}, (body if isinstance(body, str) else json.dumps(body)).encode())


# -- the cases of smithy-rs -------------------------------------------------------------------------------------------------

# What an error says there, in the words of that project, and what it says here.
ERRORS = {
    "eks_pod_identity_no_token_file": r"there is no container authorization token at /token\.jwt",
    "imds_default_chain_error": "no AWS credentials were found",
    "imds_disabled": "no AWS credentials were found",
    "imds_no_iam_role": "credential_source = Ec2InstanceMetadata, and there is nothing",
    "imds_token_fail": "IMDS is disabled",
    "profile_overrides_web_identity": "credential_source = Environment, and there is nothing",
    "sso_no_token_file": r"/home/\.aws/sso/cache/dace00cba5f8355ec9d274ceb2bcebdfbeed0e12\.json",
    "sso_server_error": "",
    "web_identity_source_profile_no_env": "web_identity_token_file, but role_arn was missing",
    "web_identity_token_invalid_jwt": "InvalidIdentityToken: No OpenIDConnect provider found in your account",
    "credential_process_failure": "ended with exit code 1",
    "credential_process_invalid": "is not JSON",
    "empty_config": "there is no AWS profile 'default'",
    "invalid_config": r"config, line 2: the setting has no name",
    "invalid_sso_credentials_config": "gives an access token instead of credentials",
    "sso_token": "gives an access token instead of credentials",
}


class Recorded(Driver):
    """A case: its files, and the answers of its recorded traffic, to be asked for as recorded."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.name = folder.name
        for path in (folder / "fs").rglob("*"):
            if path.is_file():
                self.files["/" + path.relative_to(folder / "fs").as_posix()] = path.read_text()
        self.wrong: list[str] = []
        self.exchanges: dict[int, dict[str, Any]] = {}
        for event in json.loads((folder / "http-traffic.json").read_text())["events"]:
            at = self.exchanges.setdefault(event["connection_id"], {"request": None, "sent": "", "got": ""})
            match event["action"]:
                case {"Request": {"request": request}}:
                    at["request"] = request
                case {"Response": {"response": {"Ok": response}}}:
                    at["response"] = response
                case {"Data": {"data": {"Utf8": text}, "direction": direction}}:
                    at["sent" if direction == "Request" else "got"] += text
        self.order = sorted(self.exchanges)
        self.run_process = shell

    def _do(self, step: Any) -> Any:
        if not isinstance(step, Ask) or not self.order:
            return super()._do(step)
        self.asked.append(step)
        exchange = self.exchanges[self.order.pop(0)]
        self._compare(step.call, exchange)
        return Answer(exchange["response"]["status"], {}, exchange["got"].encode())

    def _compare(self, call: HttpCall, exchange: dict[str, Any]) -> None:
        request = exchange["request"]
        url = urlsplit(request["uri"])
        ours = urlsplit(f"{call.origin}{call.target}")
        same = (
            (call.method, request["method"]),
            ((ours.scheme, ours.netloc, ours.path), (url.scheme, url.netloc, url.path or "/")),
            (sorted(parse_qsl(ours.query)), sorted(parse_qsl(url.query))),
        )
        self.wrong += [f"{mine} is not {theirs}" for mine, theirs in same if mine != theirs]
        headers = {name.lower(): value for name, value in call.headers}
        recorded = {name.lower(): values[0] for name, values in request["headers"].items()}
        for name in (
            "x-aws-ec2-metadata-token",
            "x-aws-ec2-metadata-token-ttl-seconds",
            "x-amz-sso_bearer_token",
        ):
            if headers.get(name) != recorded.get(name):
                self.wrong.append(f"header {name} differs")
        if "x-amz-security-token" in recorded and "x-amz-security-token" not in headers:
            self.wrong.append("the session token was not sent")
        if ("authorization" in recorded) != (
            "authorization" in headers
        ) and "v1/credentials" not in ours.path:
            self.wrong.append("signed where it should not be, or not signed where it should")
        if "authorization" in recorded:
            key = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/sts/")
            mine, theirs = key.search(headers["authorization"]), key.search(recorded["authorization"])
            assert mine is not None
            assert theirs is not None
            if (
                mine[1] != theirs[1] and self.name != "ecs_assume_role"
            ):  # recorded there with the key of another case
                self.wrong.append("signed with another key")
        if call.body:
            names = [name for name, _ in parse_qsl(call.body.decode())]
            recorded_names = [name for name, _ in parse_qsl(exchange["sent"])]
            if names != recorded_names:
                self.wrong.append(f"sent {names} instead of {recorded_names}")


def shell(command: str) -> Exited:
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)  # the case's own line
    return Exited(ended.returncode, ended.stdout)


def drive(folder: Path, driver: Recorded) -> Any:
    environ: dict[str, str] = json.loads((folder / "env.json").read_text())
    match folder.parent.name:
        case "default-credential-provider-chain":
            return driver.run(find_aws_credentials(environ, now=NOW))
        case "profile-provider":
            settings = driver.run(load_settings(environ))
            return driver.run(from_profile(settings, NOW))
        case _:
            settings = driver.run(load_settings(environ))
            base = profile_chain(settings.shared, settings.profile).base
            assert isinstance(base, Sso)
            return driver.run(sso_token(settings, base, NOW))


def facts(found: AwsFound | SsoToken) -> dict[str, Any]:
    if isinstance(found, SsoToken):
        return {"token": found.token.reveal(), "expiration": found.expires_at}
    keys = found.credentials
    facts: dict[str, Any] = {
        "access_key_id": keys.access_key,
        "secret_access_key": keys.secret_key.reveal(),
        "session_token": keys.session_token.reveal() if keys.session_token else None,
        "account_id": found.account_id,
        "expiry": keys.expires_at,
    }
    return {name: value for name, value in facts.items() if value is not None}


def test_the_cases_that_the_sdks_share(shared: Path) -> None:
    wrong: list[str] = []
    count = 0
    for case in sorted((shared / "vectors/aws-config/chain").rglob("test-case.json")):
        folder = case.parent
        if (
            folder.name == "fs"
        ):  # sso_token/fs has a second copy of the case inside the case's own file system
            continue
        count += 1
        expected = json.loads(case.read_text())["result"]
        driver = Recorded(folder)
        try:
            found = facts(drive(folder, driver))
        except TercetError as error:
            if "Ok" in expected or not re.search(ERRORS[folder.name], str(error)):
                wrong.append(f"{folder.name}: {type(error).__name__}: {error}")
            for secret in ("TESTSECRET", "a-token", "secret-", "FAKE", "faketoken", "eyJhbGciOi"):
                if secret in f"{error!r}{error}{error.body}{error.facts()}":
                    wrong.append(f"{folder.name}: the error shows a secret")
        else:
            good = expected.get("Ok")
            if good and "expiration" in good:
                good = {**good, "expiration": datetime.fromisoformat(good["expiration"]).timestamp()}
            if found != good:
                wrong.append(f"{folder.name}: {found} is not {good}")
            if driver.order:
                wrong.append(f"{folder.name}: {len(driver.order)} recorded requests were not made")
        wrong += [f"{folder.name}: {what}" for what in driver.wrong]
    assert wrong == []
    assert count == 50


# In the order of the file: what the errors are called here.
CHAIN_ERRORS = {
    "role_arn without source source_profile": "neither source_profile nor credential_source",
    "source profile and credential source both present": "both source_profile and credential_source",
    "partial credentials error (missing secret)": "has no aws_secret_access_key",
    "partial credentials error (missing access key)": "has no aws_access_key_id",
    "missing credentials error (empty source profile)": "'B' says nothing of credentials",
    "profile only contains configuration": "'A' says nothing of credentials",
    "missing source profile": "no AWS profile 'B', which 'A' names",
    "missing root profile (should never happen in practice)": "no AWS profile 'A'",
    "assume role profile infinite loop": "A -> B -> A name each other in a ring",
    "infinite loop with static credentials": "in a ring",
    "web identity role": "role_arn was missing",
    "invalid SSO credentials configuration: missing account ID": "no sso_account_id",
    "invalid SSO credentials configuration: missing role name": "no sso_role_name",
    "invalid SSO token configuration: sso_region must be in sso-session": r"belongs in \[sso-session A\]",
    "invalid SSO token configuration: sso-session not found": r"no \[sso-session oops\]",
}


def test_profiles_to_chains(shared: Path) -> None:
    cases = json.loads((shared / "vectors/aws-config/chain/assume-role-tests.json").read_text())
    wrong: list[str] = []
    for case in cases:
        given, expected = case["input"], case["output"]
        config = SharedConfig(given["profiles"], given.get("sso_sessions", {}), {})
        try:
            chain = profile_chain(config, given["selected_profile"])
        except ConfigurationError as error:
            if "Error" not in expected or not re.search(CHAIN_ERRORS[case["docs"]], str(error)):
                wrong.append(f"{case['docs']}: {error}")
            continue
        found: list[dict[str, Any]] = []
        match chain.base:
            case StaticKeys(access, secret, _, account):
                found.append(
                    {
                        "AccessKey": {
                            "access_key_id": access,
                            "secret_access_key": secret,
                            "account_id": account,
                        }
                    }
                )
            case NamedSource(name):
                found.append({"NamedSource": name})
            case WebIdentity(role, token_file, session):
                found.append(
                    {
                        "WebIdentityToken": {
                            "role_arn": role,
                            "web_identity_token_file": token_file,
                            "role_session_name": session,
                        }
                    }
                )
            case Sso(url, region, session, account, role):
                of_sso = {
                    "start_url": url,
                    "region": region,
                    "session": session,
                    "account_id": account,
                    "role_name": role,
                }
                found.append({"Sso": {f"sso_{key}": value for key, value in of_sso.items()}})
            case Process():
                found.append({"Process": {}})
        for step in chain.roles:
            found.append(
                {
                    "AssumeRole": {
                        "role_arn": step.arn,
                        "role_session_name": step.session_name,
                        "external_id": step.external_id,
                    }
                }
            )
        said = [
            {
                kind: {key: value for key, value in of.items() if value is not None}
                if isinstance(of, dict)
                else of
            }
            for entry in found
            for kind, of in entry.items()
        ]
        if said != expected.get("ProfileChain"):
            wrong.append(f"{case['docs']}: {said}")
    assert wrong == []
    assert len(cases) == 28


def test_where_the_containers_credentials_are(shared: Path) -> None:
    cases = json.loads((shared / "vectors/aws-config/chain/ecs-tests.json").read_text())["tests"]
    wrong: list[str] = []
    for case in cases:
        try:
            uri = container_uri(case["env"])
        except ConfigurationError:
            uri = "error"
        expected = case["result"].get("Ok", None if not case["env"] else "error")
        if uri != expected:
            wrong.append(f"{case['docs']}: {uri}")
    assert wrong == []
    for uri in ("http://evil.example/", "http://169.254.170.3/x", "http://localhost.evil.example/x"):
        with pytest.raises(ConfigurationError, match="only https"):
            container_uri({"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri})


def test_where_the_instances_metadata_are(shared: Path) -> None:
    cases = json.loads(
        (shared / "vectors/aws-config/chain/imds-config/imds-endpoint-tests.json").read_text()
    )["tests"]
    wrong: list[str] = []
    for case in cases:
        if "endpoint_override" in case or "mode_override" in case:
            continue  # arguments of the program, which this search does not take: the environment says the same
        settings = Driver(case["fs"]).run(load_settings(case["env"]))
        try:
            found = f"{imds_endpoint(settings)}/latest/api/token"
        except ConfigurationError:
            found = "error"
        if found != case["result"].get("Ok", "error"):
            wrong.append(f"{case['docs']}: {found}")
    assert wrong == []


# -- what the cases leave out -----------------------------------------------------------------------------------------------

STATIC = {
    "/h/.aws/credentials": "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = secret-of-file\n"
}


def find(environ: Mapping[str, str], driver: Driver | None = None, **more: Any) -> AwsFound:
    found: AwsFound = (driver or Driver()).run(find_aws_credentials(environ, now=NOW, **more))
    return found


def test_half_a_pair_in_the_environment_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not"):
        find({"AWS_ACCESS_KEY_ID": "AKIA"})
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not"):
        find({"AWS_SECRET_ACCESS_KEY": "s"})


def test_a_profile_that_the_program_names_wins_over_keys_in_the_environment() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIAENV",
        "AWS_SECRET_ACCESS_KEY": "s",
        "HOME": "/h",
        "AWS_PROFILE": "other",
    }
    assert find(environ, Driver(STATIC)).credentials.access_key == "AKIAENV"
    assert find(environ, Driver(STATIC), profile="default").credentials.access_key == "AKIAFILE"
    with pytest.raises(ConfigurationError, match="no AWS profile 'mine'"):
        find(environ, Driver(STATIC), profile="mine")


def test_a_file_that_cannot_be_read_is_an_error_not_an_absence() -> None:
    class Locked(Driver):
        def _do(self, step: Any) -> Any:
            if isinstance(step, ReadFile):
                raise PermissionError(13, "Permission denied")
            return super()._do(step)

    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        find({"HOME": "/h"}, Locked())


def test_no_instance_metadata_means_no_credentials_and_one_second() -> None:
    driver = Driver()
    with pytest.raises(ConfigurationError, match="no AWS credentials were found"):
        find({}, driver)
    [asked] = driver.asked
    assert (asked.seconds, asked.is_direct, asked.call.method) == (1.0, True, "PUT")


def test_metadata_are_asked_through_no_proxy_and_given_up_after_three_failures() -> None:
    driver = Driver(answers=[answer(200, "t"), answer(503), answer(503), answer(503)])
    with pytest.raises(ServerError):
        find({}, driver)
    assert all(asked.is_direct for asked in driver.asked)
    assert driver.pauses == [0.1, 0.2]


def test_what_the_metadata_service_says_of_a_broken_role_is_an_error() -> None:
    said = answer(200, {"Code": "AssumeRoleUnauthorizedAccess", "Message": "no"})
    with pytest.raises(AuthenticationError, match="AssumeRoleUnauthorizedAccess"):
        find({}, Driver(answers=[answer(200, "t"), answer(200, "role"), said]))


def test_a_role_with_a_code_to_type_is_refused_beforehand() -> None:
    files = {
        "/h/.aws/config": "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nmfa_serial = arn:x\n"
        "[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n"
    }
    driver = Driver(files)
    with pytest.raises(ConfigurationError, match="mfa_serial"):
        find({"HOME": "/h"}, driver)
    assert driver.asked == []


def test_a_role_is_asked_for_with_all_that_the_profile_says() -> None:
    files = {
        **STATIC,
        "/h/.aws/config": "[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\nregion = eu-west-3\n"
        "external_id = me & you\nduration_seconds = 900\nrole_session_name = tests\n",
    }
    given = (
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>a&amp;b</SecretAccessKey>"
        "<SessionToken>t</SessionToken><Expiration>2026-11-23T18:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
    driver = Driver(files, [answer(503), ConnectError("gone"), answer(200, given)])
    found = find({"HOME": "/h", "AWS_PROFILE": "r"}, driver)
    assert found.credentials == AwsCredentials("ASIA", "a&b", "t", 1795456800.0)
    call = driver.asked[-1].call
    assert call.origin.host == "sts.eu-west-3.amazonaws.com"
    assert dict(parse_qsl(call.body.decode())) == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::1:role/r",
        "RoleSessionName": "tests",
        "ExternalId": "me & you",
        "DurationSeconds": "900",
    }
    assert "secret-of-file" not in f"{found!r}{found.credentials!r}{driver.asked!r}"


def test_a_web_identity_that_is_refused_does_not_show_its_token() -> None:
    said = "<Error><Code>AccessDenied</Code><Message>not with the-token of yours</Message></Error>"
    driver = Driver({"/t": "the-token\n"}, [answer(403, said)])
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}
    with pytest.raises(AuthenticationError, match="AccessDenied") as caught:
        find(environ, driver)
    assert "the-token" not in f"{caught.value!r}{caught.value.body}"
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
    with pytest.raises(ConfigurationError, match="AWS_ROLE_ARN is not"):
        find({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"})


@pytest.mark.parametrize(
    ("printed", "error", "says"),
    [
        ('{"Version": 2}', ProtocolError, "another version"),
        ('{"Version": 1, "AccessKeyId": "AKIA"}', ProtocolError, "no AccessKeyId and SecretAccessKey"),
        (
            '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "hush", "Expiration": "soon"}',
            ProtocolError,
            "a time",
        ),
        ("[1]", ProtocolError, "not a JSON object"),
        (
            '{"Version": 1, "AccessKeyId": "a\\n", "SecretAccessKey": "hush"}',
            ConfigurationError,
            "no header can carry",
        ),
    ],
)
def test_a_process_that_prints_something_else(printed: str, error: type[TercetError], says: str) -> None:
    driver = Driver({"/h/.aws/config": "[default]\ncredential_process = mine --secret hush\n"})
    driver.run_process = lambda command: Exited(0, printed.encode())
    with pytest.raises(error, match=says) as caught:
        find({"HOME": "/h"}, driver)
    assert "hush" not in f"{caught.value!r}{caught.value}"


# -- SSO --------------------------------------------------------------------------------------------------------------------

SSO_CONFIG = "[default]\nsso_session = dev\n[sso-session dev]\nsso_region = eu-west-1\nsso_start_url = https://x.example/start\n"
SSO_PATH = "/h/.aws/sso/cache/34c6fceca75e456f25e7e99531e2425c6c1de443.json"
SSO = Sso("https://x.example/start", "eu-west-1", "dev")


def sso_settings() -> AwsSettings:
    settings: AwsSettings = Driver({"/h/.aws/config": SSO_CONFIG}).run(load_settings({"HOME": "/h"}))
    return settings


def cached(expires: str, **more: str) -> str:
    held = {
        "accessToken": "old-token",
        "expiresAt": expires,
        "clientId": "id",
        "clientSecret": "hush",
        "refreshToken": "again",
        "kept": "yes",
    }
    return json.dumps({**held, **more})


def test_an_sso_session_is_renewed_and_put_back() -> None:
    driver = Driver(
        {SSO_PATH: cached("2020-09-13T12:00:00UTC")},
        [
            answer(
                200,
                {
                    "accessToken": "new-token",
                    "expiresIn": 3600,
                    "refreshToken": "again-2",
                    "tokenType": "Bearer",
                },
            )
        ],
    )
    token = driver.run(sso_token(sso_settings(), SSO, NOW))
    assert (token.token.reveal(), token.expires_at) == ("new-token", NOW + 3600)
    [asked] = driver.asked
    assert f"{asked.call.origin}{asked.call.target}" == "https://oidc.eu-west-1.amazonaws.com/token"
    kept = json.loads(driver.files[SSO_PATH])
    assert (kept["accessToken"], kept["refreshToken"], kept["kept"]) == ("new-token", "again-2", "yes")
    assert kept["expiresAt"] == "2020-09-13T13:26:40Z"
    assert "new-token" not in f"{token!r}"


def test_an_sso_login_that_has_ended_says_how_to_log_in() -> None:
    over = cached("2020-09-13T12:00:00Z", registrationExpiresAt="2020-09-01T00:00:00Z")
    with pytest.raises(AuthenticationError, match="aws sso login --profile default"):
        Driver({SSO_PATH: over}).run(sso_token(sso_settings(), SSO, NOW))
    refused = Driver({SSO_PATH: cached("2020-09-13T12:00:00Z")}, [answer(400, {"error": "invalid_grant"})])
    with pytest.raises(AuthenticationError, match="aws sso login") as caught:
        refused.run(sso_token(sso_settings(), SSO, NOW))
    assert "hush" not in f"{caught.value!r}"
    assert "again" not in str(caught.value)


def test_an_sso_token_that_cannot_be_renewed_yet_is_used_to_its_end() -> None:
    soon = cached("2020-09-13T12:28:00Z")
    driver = Driver({SSO_PATH: soon}, [answer(503)] * 3)
    assert driver.run(sso_token(sso_settings(), SSO, NOW)).token.reveal() == "old-token"


# -- regions, hosts, signatures ---------------------------------------------------------------------------------------------


def test_the_region_is_the_programs_then_the_environments_then_the_profiles() -> None:
    files = {"/h/.aws/config": "[default]\nregion = eu-west-1\n"}
    home = {"HOME": "/h"}
    cases: list[tuple[dict[str, str], str | None, str | None]] = [
        (
            {**home, "AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-1"},
            "ca-central-1",
            "ca-central-1",
        ),
        ({**home, "AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-1"}, None, "us-west-2"),
        ({**home, "AWS_REGION": " ", "AWS_DEFAULT_REGION": "us-west-1"}, None, "us-west-1"),
        (home, None, "eu-west-1"),
        ({}, None, None),
    ]
    for environ, given, expected in cases:
        assert Driver(files).run(load_settings(environ, region=given)).region == expected


def test_hosts_of_services() -> None:
    assert service_host("sts", "us-east-1") == "sts.us-east-1.amazonaws.com"
    assert service_host("sts", "cn-north-1") == "sts.cn-north-1.amazonaws.com.cn"
    assert service_host("sts", "us-gov-west-1", fips=True) == "sts.us-gov-west-1.amazonaws.com"
    assert (
        service_host("portal.sso", "us-gov-west-1", fips=True)
        == "portal.sso-fips.us-gov-west-1.amazonaws.com"
    )
    assert service_host("sts", "us-isob-east-1") == "sts.us-isob-east-1.sc2s.sgov.gov"
    assert service_host("oidc", "eusc-de-east-1") == "oidc.eusc-de-east-1.amazonaws.eu"
    for bad in ("", "evil.example/", "us-east-1.evil.example#", "US-EAST-1"):
        with pytest.raises(ConfigurationError):
            service_host("sts", bad)


def test_regions_in_hosts() -> None:
    assert region_of_host("bedrock-runtime.eu-central-1.amazonaws.com") == "eu-central-1"
    assert region_of_host("bedrock-runtime-fips.us-gov-west-1.amazonaws.com") == "us-gov-west-1"
    assert region_of_host("vpce-0a1.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com") == "ap-southeast-2"
    assert region_of_host("bedrock-runtime.eusc-de-east-1.amazonaws.eu") == "eusc-de-east-1"
    assert region_of_host("localhost") is None


def test_a_call_is_signed_for_the_region_it_goes_to() -> None:
    keys = AwsCredentials("AKIDEXAMPLE", "hush-hush", "session-hush", 123.0)
    credential = AwsCredential(keys, region="us-east-1", source="somewhere")
    call = HttpCall(
        "POST",
        Origin("https", "bedrock-runtime.eu-central-1.amazonaws.com", 443),
        "/model/a%3Ab/converse?x=1",
        (("content-type", "application/json"), ("x-amz-date", "stale")),
        b"{}",
    )
    signed = credential.authorize(call, NOW)
    headers = dict(signed.headers)
    expected = sign(
        "POST",
        "/model/a%3Ab/converse",
        "x=1",
        [("host", call.origin.host), ("content-type", "application/json")],
        b"{}",
        keys,
        NOW,
        region="eu-central-1",
        service="bedrock",
    )
    assert dict(expected).items() <= headers.items()
    assert len(signed.headers) == 4
    assert (signed.body, signed.target, credential.expires_at) == (call.body, call.target, 123.0)
    shown = f"{credential!r}{signed!r}{keys!r}"
    assert "hush" not in shown
    assert "AKID" not in shown


def test_without_a_region_nothing_is_signed() -> None:
    call = HttpCall("POST", Origin("http", "localhost", 8080), "/model/x/converse")
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        AwsCredential(AwsCredentials("a", "b")).authorize(call, NOW)
    assert (
        "/us-west-2/bedrock/"
        in dict(AwsCredential(AwsCredentials("a", "b"), region="us-west-2").authorize(call, NOW).headers)[
            "authorization"
        ]
    )


def test_settings_do_not_show_what_they_hold() -> None:
    settings = Driver(STATIC).run(load_settings({"HOME": "/h", "AWS_SECRET_ACCESS_KEY": "secret-of-env"}))
    assert "secret-of" not in f"{settings!r}{settings.shared!r}{profile_chain(settings.shared, 'default')!r}"


def test_a_url_that_is_none_is_refused_before_anything_is_sent() -> None:
    for bad in ("not a uri", "ftp://x/", "http://x/a b", "http://u:p@x/"):
        environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": bad}
        with pytest.raises(ConfigurationError):
            imds_endpoint(AwsSettings(environ, SharedConfig({}, {}, {}), "default", False))


def test_shared_config_is_two_files_put_together() -> None:
    config = parse_shared_file(
        "[default]\na = 1\n[profile default]\nb = 2\n[profile x]\nregion = r\nk = c\n", "config"
    )
    credentials = parse_shared_file("[x]\nk = s\n[profile x]\nk = wrong\n", "credentials")
    assert shared_config(config, credentials).profiles == {
        "default": {"b": "2"},
        "x": {"region": "r", "k": "s"},
    }
