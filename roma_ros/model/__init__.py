"""
The ROMA network: transformers' Qwen2.5-Omni thinker, explicit positions and the speak head.

Letters in shapes: B batch, U units, T tokens, S tokens in the cache, L layers, H query heads,
K kv heads (or, for the speak head, states mixed), D head width, C model width, V vocabulary.
"""

from .checkpoint import load_roma, LoadedRoma, save_roma
from .config import ProcessorConfig, RomaConfig, SpeakHeadConfig, TokenIds
from .positions import text_positions, unit_positions
from .processor import num_unit_tokens, UnitFeatures, UnitProcessor
from .prompts import Protocol
from .speak_head import SpeakHead
from .thinker import build_roma, causal_mask, DecoderOutput, RomaModel

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
