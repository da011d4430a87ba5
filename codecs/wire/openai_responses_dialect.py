"""By what the services that speak OpenAI's Responses API differ, as values: a provider's row fills in a :class:`Dialect`.

The defaults are OpenAI's own API as of 2026-11, spoken without a memory on its side: every request carries the whole conversation.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Dialect"]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One service's way of speaking. Every field has a default, so a row names only what differs.

    Addresses: ``path``, ``models_path`` (None: no list), ``count_path`` (None: no counting).

    Requests:

    - ``store``: whether the service keeps the answer (30 days, if nobody says no). False says no with every request; None says nothing.
    - ``encrypted_reasoning``: when ``include: ["reasoning.encrypted_content"]`` is sent (never with ``store=True``, where ids are
      enough). ``asked``: when the request has reasoning options that do not switch it off, or its history has encrypted reasoning of
      this service. Not ``always``, because models that do not reason refuse it: "Encrypted content is not supported with this model"
      (gpt-4o, 2025-09 to 2026-05). Since 2026 OpenAI gives the encrypted content unasked.
    - ``reasoning_replay``: which reasoning of earlier answers goes back. ``encrypted``: what the service can know again, which is items
      with encrypted content, and all of its items where ``store`` is not False. ``all``: every item (servers without encryption that
      read the plain text: LM Studio, vLLM). ``none``.
    - ``instructions``: whether leading system messages become ``instructions``; otherwise they are input items like all others.
    - ``system_role``: what becomes of ``system`` and ``developer`` items; None leaves each as the caller wrote it.
    - ``user_field``: what ``user`` is called; OpenAI replaces ``user`` by ``safety_identifier``.
    - ``tool_strict``: whether ``strict`` of a tool is sent. ``rejects``: fields of :class:`ChatRequest` that the service does not
      take: using one raises ``UnsupportedError``.

    Answers:

    - ``server_custom_tools``: a ``custom_tool_call`` is the service's own (xAI's search) and none of the caller's tools.
    - ``cost_paths``, ``cost_scale``: where usage says what it cost, the first number counts, and dollars per unit of it.

    ``origin`` names this service on the opaque data of its answers, so that it goes back here and nowhere else; None: the wire's name.
    """

    origin: str | None = None

    path: str = "/responses"
    models_path: str | None = "/models"
    count_path: str | None = "/responses/input_tokens"

    store: bool | None = False
    encrypted_reasoning: Literal["asked", "always", "never"] = "asked"
    reasoning_replay: Literal["encrypted", "all", "none"] = "encrypted"
    instructions: bool = True
    system_role: Literal["system", "developer"] | None = None
    user_field: Literal["safety_identifier", "user"] = "safety_identifier"
    tool_strict: bool = True
    rejects: tuple[str, ...] = ("stop", "seed", "presence_penalty", "frequency_penalty", "top_k")

    server_custom_tools: bool = False
    cost_paths: tuple[str, ...] = ("cost", "cost.total_cost")
    cost_scale: float = 1.0
