"""The reference's OpenAI Native handler: the Responses API for every model, conversations continued by the id of the last answer.

The reference asks through OpenAI's SDK, and whatever goes wrong there (a refusal, a broken stream) it sends the same body again with a
request of its own, showing what comes after what was shown before. Here a body is sent once (with the SDK's retries, which end before an
answer begins): the first failure is the result. Its texts are those of the reference's second request, which its users know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from tercet.codecs.vocabulary import ProviderError, TercetError, TransportError

from . import facts
from .actions import Conversation, Reply
from .chat import sdk_headers
from .errors import openai_failure, reworded
from .family import Family
from .http import Request, fetch_with_retries, merge_headers, read_result
from .messages import Message
from .params import model_params
from .responses_stream import ResponsesStream
from .values import get, is_true, items_of, parse_json, present, stringify, text_of

__all__ = ["ResponsesFamily", "to_responses"]

_Reword = Callable[[ProviderError, str], ProviderError]

_URL = "https://api.openai.com/v1"
_LABEL = "Failed to connect to Responses API"
_EFFORTS = ("minimal", "low", "medium", "high")
_STATUS_TEXTS = {
    400: "Invalid request to Responses API. Please check your input parameters.",
    401: "Authentication failed. Please check your OpenAI API key.",
    403: "Access denied. Your API key may not have access to this endpoint.",
    404: "Responses API endpoint not found. The endpoint may not be available yet or requires a different configuration.",
    429: "Rate limit exceeded. Please try again later.",
    500: "OpenAI service error. Please try again later.",
    502: "OpenAI service error. Please try again later.",
    503: "OpenAI service error. Please try again later.",
}


class ResponsesFamily(Family):
    """``create_message``, ``complete_prompt`` and ``get_model`` of the reference's ``OpenAiNativeHandler``.

    It remembers the id of the last answer: the next call then sends only the latest user message. ``metadata`` may say
    ``previousResponseId``, ``suppressPreviousResponseId`` and ``store``.
    """

    _last_id: str | None = None

    def get_model(self) -> dict[str, Any]:
        """``{id, info, ...params}``; the ids that begin with ``o3-mini`` are one model."""
        model_id, info = self._known()
        params = model_params("openai", model_id, info, self.options, _default_temperature(model_id))
        return {"id": "o3-mini" if model_id.startswith("o3-mini") else model_id, "info": info, **params}

    def list_models(self) -> Conversation[Any]:
        """The reference's table."""
        yield from ()
        return facts.models("openai")

    def create_message(
        self, system: str, messages: Sequence[Message], metadata: Mapping[str, Any] | None = None
    ) -> Conversation[None]:
        """Text, reasoning and usage chunks. An id of an answer that the server does not know is forgotten, and all is sent."""
        model = self.get_model()
        previous = self._previous_id(messages, metadata)
        try:
            try:
                reply = yield from self._open(self._body(model, system, messages, metadata, previous))
            except ProviderError as error:
                if previous is None or not _is_unknown_id(error):
                    raise
                self._last_id = None
                reply = yield from self._open(self._body(model, system, messages, metadata, None))
            stream = ResponsesStream(model["info"], self._tier(), self._remember)
            yield from _processed(stream.run(reply))
        except (ProviderError, TransportError) as error:
            if "Responses API" in error.message:
                raise
            raise reworded(error, f"{_LABEL}: {error.message}") from error

    def complete_prompt(self, prompt: str) -> Conversation[str]:
        """The first text of the first message that has one; without any, the answer's ``text`` field as it came, as in the reference."""
        model = self.get_model()
        body = {
            "model": model["id"],
            "input": to_responses([{"role": "user", "content": prompt}]),
            "stream": False,
            "store": False,
            **present(service_tier=self._sent_tier(model["info"])),
            **self._parameters(model),
            **self._verbosity(model),
        }
        try:
            reply = yield from self._post(body)
            answer = yield from read_result(reply)
        except TercetError as error:
            raise reworded(error, f"OpenAI Native completion error: {error.message}") from error
        for item in items_of(get(answer, "output")):
            if get(item, "type") == "message":
                for part in items_of(get(item, "content")):
                    if get(part, "type") == "output_text" and is_true(get(part, "text")):
                        return text_of(part["text"])
        return get(answer, "text") or ""

    def _known(self) -> tuple[str, Mapping[str, Any]]:
        known = facts.models("openai")
        model_id = self.options.get("apiModelId")
        if model_id not in known:
            model_id = facts.default_model("openai")
        return model_id, known[model_id]

    def _remember(self, response_id: str) -> None:
        self._last_id = response_id

    def _previous_id(self, messages: Sequence[Message], metadata: Mapping[str, Any] | None) -> str | None:
        """The id that the conversation goes on from: the caller's, else the last one, unless this is how a conversation begins."""
        asked = get(metadata, "previousResponseId")
        if asked:
            return text_of(asked)
        is_first = len(messages) == 1 and messages[0]["role"] == "user"
        if is_first or is_true(get(metadata, "suppressPreviousResponseId")):
            return None
        return self._last_id

    def _body(
        self,
        model: Mapping[str, Any],
        system: str,
        messages: Sequence[Message],
        metadata: Mapping[str, Any] | None,
        previous: str | None,
    ) -> dict[str, Any]:
        sent = messages
        if previous is not None:
            sent = [message for message in messages if message["role"] == "user"][-1:]
        return {
            "model": model["id"],
            "input": to_responses(sent),
            "stream": True,
            "store": get(metadata, "store") is not False,
            "instructions": system,
            **self._parameters(model),
            **present(previous_response_id=previous, service_tier=self._sent_tier(model["info"])),
            **self._verbosity(model),
        }

    def _parameters(self, model: Mapping[str, Any]) -> dict[str, Any]:
        info = model["info"]
        effort = self.options.get("reasoningEffort")
        effort = info.get("reasoningEffort") if effort is None else effort
        temperature = self.options.get("modelTemperature")
        if info.get("supportsTemperature") is False:
            temperature = None
        elif temperature is None:
            temperature = _default_temperature(model["id"])
        summary = self.options.get("enableGpt5ReasoningSummary")
        reasoning = {
            "effort": effort,
            **present(summary="auto" if summary is None or is_true(summary) else None),
        }
        return present(
            reasoning=reasoning if effort in _EFFORTS else None,
            temperature=temperature,
            max_output_tokens=model.get("maxTokens") or None,
        )

    def _verbosity(self, model: Mapping[str, Any]) -> dict[str, Any]:
        if model["info"].get("supportsVerbosity") is not True:
            return {}
        return {"text": {"verbosity": model.get("verbosity") or "medium"}}

    def _tier(self) -> str | None:
        return self.options.get("openAiNativeServiceTier") or None

    def _sent_tier(self, info: Mapping[str, Any]) -> str | None:
        """The tier asked for, where the model has it."""
        tier = self._tier()
        names = [get(offered, "name") for offered in items_of(info.get("tiers"))]
        return tier if tier == "default" or tier in names else None

    def _open(self, body: Mapping[str, Any]) -> Conversation[Reply]:
        """Post the body. A refusal has the reference's words."""
        return (
            yield from self._post(
                body, lambda error, text: reworded(error, _status_text(error.status or 0, text))
            )
        )

    def _post(self, body: Mapping[str, Any], reword: _Reword | None = None) -> Conversation[Reply]:
        base = self.options.get("openAiNativeBaseUrl") or self.env.get("OPENAI_BASE_URL") or _URL
        key = self.options.get("openAiNativeApiKey")
        request = Request(
            "POST",
            base.removesuffix("/") + "/responses",
            merge_headers(
                sdk_headers(self.env),
                {
                    "User-Agent": "tercet",
                    "authorization": f"Bearer {'not-provided' if key is None else key}",
                    "content-type": "application/json",
                },
            ),
            stringify(body).encode(),
        )

        def failure(reply: Reply, text: str) -> ProviderError:
            error = openai_failure(reply.status, reply.headers, text)
            return reword(error, text) if reword else error

        return (yield from fetch_with_retries(request, failure))


def to_responses(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The Responses API's input: text and images; other blocks, and messages that have nothing else, are left out."""
    out: list[dict[str, Any]] = []
    for message in messages:
        content: Any = message["content"]
        is_user = message["role"] == "user"
        text_type = "input_text" if is_user else "output_text"
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        parts: list[dict[str, Any]] = []
        for block in cast("Sequence[Mapping[str, Any]]", content):
            if block["type"] == "text":
                parts.append({"type": text_type, "text": block["text"]})
            elif block["type"] == "image" and is_user:
                source = block["source"]
                url = f"data:{text_of(source.get('media_type'))};base64,{text_of(source.get('data'))}"
                parts.append({"type": "input_image", "image_url": url})
        if parts:
            out.append({"role": message["role"], "content": parts})
    return out


def _processed(stream: Conversation[None]) -> Conversation[None]:
    try:
        yield from stream
    except (ProviderError, TransportError) as error:
        raise reworded(error, f"Error processing response stream: {error.message}") from error


def _is_unknown_id(error: ProviderError) -> bool:
    said = error.message
    return error.status == 400 and ("Previous response" in said or "not found" in said)


def _status_text(status: int, text: str) -> str:
    said = _STATUS_TEXTS.get(status, f"Responses API error ({status})")
    details = _details(text)
    return f"{said} - {details}" if details else said


def _details(text: str) -> str:
    try:
        body = parse_json(text)
    except ValueError:
        return text
    message = get(body, "error", "message") or get(body, "message")
    return text_of(message) if is_true(message) else text


def _default_temperature(model_id: str) -> float:
    name = "GPT5_DEFAULT_TEMPERATURE" if model_id.startswith("gpt-5") else "OPENAI_NATIVE_DEFAULT_TEMPERATURE"
    value: float = facts.constant("openai", name)
    return value
