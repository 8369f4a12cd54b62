"""Sessions in which nobody speaks: what is measured is reading alone."""

from typing import Any

from ..policy.instructions import InstructionKind
from ..policy.triggers import TriggerConfig
from ..runtime.session import SessionConfig
from ..runtime.transcript import WindowConfig

_NEVER = TriggerConfig(threshold=1 - 1e-9)


def silent_config(window_s: int, **fields: Any) -> SessionConfig:
    """
    Return how a session remembers that never speaks by itself.

    :param window_s: of video and audio [s].
    :param fields: others of ``SessionConfig``.
    """
    return SessionConfig(
        window=WindowConfig(window_s=window_s),
        triggers=dict.fromkeys(InstructionKind, _NEVER),
        **fields,
    )
