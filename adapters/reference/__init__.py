"""The face for code and settings that come from the TypeScript reference (Roo-Code, 2025-10-01)."""

from .actions import Action as Action
from .actions import Chunk as Chunk
from .actions import Conversation as Conversation
from .actions import Draw as Draw
from .actions import Emit as Emit
from .actions import Now as Now
from .actions import Read as Read
from .actions import Reply as Reply
from .actions import Send as Send
from .actions import Sleep as Sleep
from .family import IDENTITY as IDENTITY
from .provider import ReferenceProvider as ReferenceProvider
