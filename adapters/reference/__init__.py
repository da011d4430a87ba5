"""The face for code and settings that come from the TypeScript reference (Roo-Code, 2025-10-01)."""

from .actions import (
    Action as Action,
    CallHost as CallHost,
    Chunk as Chunk,
    Conversation as Conversation,
    Draw as Draw,
    Emit as Emit,
    Exit as Exit,
    Exited as Exited,
    HostPart as HostPart,
    LocalAction as LocalAction,
    Now as Now,
    OpenSocket as OpenSocket,
    Read as Read,
    ReadFile as ReadFile,
    ReceiveText as ReceiveText,
    Reply as Reply,
    RunProcess as RunProcess,
    Send as Send,
    SendText as SendText,
    Sleep as Sleep,
    WriteFile as WriteFile,
)
from .family import IDENTITY as IDENTITY
from .provider import ReferenceProvider as ReferenceProvider
