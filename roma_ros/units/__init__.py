"""From samples to units: needs numpy alone."""

from .synchronizer import SynchronizerConfig, SynchronizerCounters, UnitSynchronizer
from .unit import FRAMES_PER_UNIT, MultimodalUnit, SAMPLE_RATE_HZ, UNIT_NS, UnitFlag

__all__ = [
    'FRAMES_PER_UNIT',
    'SAMPLE_RATE_HZ',
    'UNIT_NS',
    'MultimodalUnit',
    'SynchronizerConfig',
    'SynchronizerCounters',
    'UnitFlag',
    'UnitSynchronizer',
]
