"""What is LM Studio's own in the reference: its list of models, told over WebSockets, token counts of our own, and one text for all errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tercet.codecs.vocabulary import ProtocolError, TercetError

from . import facts
from .actions import Conversation, Draw, Emit, OpenSocket, ReceiveText, SendText
from .fetching import Models, get_json, is_url, objects
from .http import Request
from .row import Closing, Ended, Facts, Turn
from .values import get, is_list, is_true, parse_json, present, stringify

if TYPE_CHECKING:
    from .chat import ChatFamily

__all__ = [
    "get_lm_studio_ids",
    "lm_studio_closing",
    "lm_studio_extras",
    "lm_studio_model",
    "lm_studio_models",
    "lm_studio_words",
]

_URL = "http://localhost:1234"
_MAX_MESSAGES = 64  # what else may come before an answer


def lm_studio_model(family: ChatFamily) -> dict[str, Any]:
    """Whatever the settings name."""
    return {
        "id": family.options.get("lmStudioModelId") or "",
        "info": facts.constant("openai", "openAiModelInfoSaneDefaults"),
    }


def lm_studio_extras(family: ChatFamily, model: Facts, turn: Turn | None = None) -> dict[str, Any]:
    """The model that drafts, where there is one."""
    options = family.options
    drafts = is_true(options.get("lmStudioSpeculativeDecodingEnabled"))
    return present(draft_model=(options.get("lmStudioDraftModelId") or None) if drafts else None)


def lm_studio_words(message: str, is_stream: bool) -> str:
    """One text for whatever went wrong; what it was is in the error's cause and attributes."""
    return (
        "Please check the LM Studio developer logs to debug what went wrong. You may need to load the model with a larger"
        " context length to work with Roo Code's prompts."
    )


def lm_studio_closing(family: ChatFamily, model: Facts, turn: Turn) -> Closing:
    """Usage as counted here: the texts that were asked, and the text that came.

    Counts before the call, and raises ``ConfigurationError`` where there is nothing to count with.
    """
    asked = [{"type": "text", "text": turn.system}]
    for message in turn.messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        asked.extend(block for block in blocks if block["type"] == "text")
    input_tokens = family.estimate_tokens(asked)

    def closing(ended: Ended) -> Conversation[None]:
        said = family.estimate_tokens([{"type": "text", "text": ended.text}])
        yield Emit({"type": "usage", "inputTokens": input_tokens, "outputTokens": said})

    return closing


def get_lm_studio_ids(base_url: str | None = None) -> Conversation[list[str]]:
    """The ids of ``/v1/models``, each once; an empty list for whatever goes wrong."""
    base = base_url or _URL
    if not is_url(base):
        return []
    try:
        answer = yield from get_json(f"{base}/v1/models")
    except TercetError:
        return []
    data = get(answer, "data")
    return list(dict.fromkeys(get(model, "id") for model in data)) if is_list(data) else []


def lm_studio_models(wanted: Mapping[str, Any], identity: Mapping[str, str]) -> Conversation[Models]:
    """The models on the disk by path, those that are loaded by key with the context they were loaded with; none when it is not running."""
    base = wanted.get("baseUrl") or _URL
    found: Models = {}
    if not is_url(base):
        return found
    try:
        yield from get_json(f"{base}/v1/models")
        downloaded = yield from _downloaded(base)
        for model in downloaded:
            found[model["path"]] = _facts(model)
        loaded = yield from _loaded(base)
    except TercetError:
        return found
    for model in loaded:
        key = model["modelKey"]
        same = next((path for path in found if _is_in_path(key, path)), None)
        if same is not None:
            del found[same]
        found[key] = _facts(model)
    return found


def _downloaded(base: str) -> Conversation[list[dict[str, Any]]]:
    try:
        socket = yield from _Socket.open(base, "/system")
        listed = yield from socket.ask("listDownloadedModels")
    except TercetError:
        return []  # what is loaded may still be told
    return [model for model in objects(listed, "path") if model.get("type") == "llm"]


def _loaded(base: str) -> Conversation[list[dict[str, Any]]]:
    socket = yield from _Socket.open(base, "/llm")
    listed = yield from socket.ask("listLoaded")
    models: list[Any] = []
    for instance in objects(listed):
        specifier = {"type": "instanceReference", "instanceReference": instance.get("instanceReference")}
        models.append(
            (yield from socket.ask("getModelInfo", {"specifier": specifier, "throwIfNotFound": False}))
        )
    return objects(models, "modelKey")


def _is_in_path(key: str, path: str) -> bool:
    """Whether the path has the key as one of its parts: ``llama-3.1`` is in ``Meta/Llama-3.1/a.gguf``, ``llama`` not in ``x/codellama``."""
    return f"/{key}/".lower() in f"/{path}/".lower()


def _facts(model: Mapping[str, Any]) -> dict[str, Any]:
    context = model["contextLength"] if "contextLength" in model else model.get("maxContextLength")
    return {
        **facts.constant("lm-studio", "lMStudioDefaultModelInfo"),
        **present(
            description=f"{model.get('displayName')} - {model.get('path')}",
            contextWindow=context,
            supportsPromptCache=True,
            supportsImages=model.get("vision"),
            supportsComputerUse=False,
            maxTokens=context,
        ),
    }


class _Socket:
    """One of LM Studio's sockets: a message to authenticate with, then calls and their results, numbered."""

    def __init__(self) -> None:
        self._calls = 0

    @classmethod
    def open(cls, base: str, path: str) -> Conversation[_Socket]:
        """Open and authenticate. Any identifier and passkey will do; they only have to be the client's own."""
        yield OpenSocket(Request("GET", base.removesuffix("/") + path).call())
        identifier = yield from _name()
        passkey = yield from _name()
        yield SendText(
            stringify({"authVersion": 1, "clientIdentifier": identifier, "clientPasskey": passkey})
        )
        answer = _parsed((yield ReceiveText()))
        if get(answer, "success") is not True:
            raise ProtocolError("LM Studio does not let us in", body=stringify(answer))
        return cls()

    def ask(self, endpoint: str, parameter: Any = None) -> Conversation[Any]:
        """Call one of its procedures."""
        number, self._calls = self._calls, self._calls + 1
        call = present(type="rpcCall", endpoint=endpoint, callId=number, parameter=parameter)
        yield SendText(stringify(call))
        for _ in range(_MAX_MESSAGES):
            answer = _parsed((yield ReceiveText()))
            if get(answer, "callId") != number:
                continue
            if get(answer, "type") != "rpcResult":
                raise ProtocolError(f"LM Studio cannot do {endpoint}", body=stringify(answer))
            return get(answer, "result")
        raise ProtocolError(f"LM Studio does not answer {endpoint}")


def _name() -> Conversation[str]:
    chance: float = yield Draw()
    return f"{int(chance * 2**53):014x}"


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise ProtocolError(f"a message of LM Studio is not JSON: {error}", body=text) from None
