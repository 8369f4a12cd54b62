"""
The ROMA network: transformers' Qwen2.5-Omni thinker, explicit positions and the speak head.

Letters in shapes: B batch, U units, T tokens, S tokens in the cache, L layers, H query heads,
K kv heads (or, for the speak head, states mixed), D head width, C model width, V vocabulary.
"""

from importlib import import_module
from typing import Any, TYPE_CHECKING

from .config import ProcessorConfig, RomaConfig, SpeakHeadConfig, TokenIds
from .masks import causal_mask
from .positions import text_positions, unit_positions
from .processor import num_unit_tokens, UnitFeatures, UnitProcessor
from .prompts import Protocol
from .speak_head import SpeakHead

if TYPE_CHECKING:
    from .checkpoint import load_roma, LoadedRoma, save_roma
    from .thinker import build_roma, DecoderOutput, RomaModel

# Transformers' modules take seconds to import, and engines of graphs do without.
_LATE = {
    'LoadedRoma': 'checkpoint',
    'load_roma': 'checkpoint',
    'save_roma': 'checkpoint',
    'DecoderOutput': 'thinker',
    'RomaModel': 'thinker',
    'build_roma': 'thinker',
}

__all__ = [
    'DecoderOutput',
    'LoadedRoma',
    'ProcessorConfig',
    'Protocol',
    'RomaConfig',
    'RomaModel',
    'SpeakHead',
    'SpeakHeadConfig',
    'TokenIds',
    'UnitFeatures',
    'UnitProcessor',
    'build_roma',
    'causal_mask',
    'load_roma',
    'num_unit_tokens',
    'save_roma',
    'text_positions',
    'unit_positions',
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'.{_LATE[name]}', __name__), name)
