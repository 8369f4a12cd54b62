"""The long run: does a unit cost as much after two hours as in the first minutes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
import math
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ..policy.instructions import InstructionKind, parse_instruction
from ..policy.triggers import TriggerConfig
from ..runtime.factory import Runtime
from ..runtime.results import StepResult
from ..runtime.session import SessionConfig, StreamSession
from ..runtime.transcript import WindowConfig
from ..units.unit import MultimodalUnit
from .machine import describe, resident_mib
from .synthetic import SyntheticStream

_MINUTE = 60  # units
# Speaks by the clock, whatever the network is: the work is the same in every period.
_BY_THE_CLOCK = TriggerConfig(threshold=1e-9, hysteresis=None, refractory_units=19)
_ALERTS = ('the bell rings', 'a person falls', 'the blue box leaves the table')
_QUESTION_EVERY = 45  # units
_QUESTION = 'what happened in the last minute?'


@dataclass(frozen=True, kw_only=True)
class StreamBenchConfig:
    """
    One run.

    :param num_units: length of the stream [units, which are seconds].
    :param bounded: evict; False: a cache with room for the whole stream, which it fills.
    :param contiguous: rotate kept keys back, so that positions are bounded.
    :param window_s: what is remembered of video and audio, where it is bounded [s].
    :param period_units: units that a line of the table sums up.
    :param seed: of the stream.
    :raises ValueError: when a number is less than 1.
    """

    num_units: int
    bounded: bool = True
    contiguous: bool = True
    window_s: int = 60
    period_units: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_units < 1 or self.period_units < 1:
            raise ValueError(
                f'num_units is {self.num_units}, period_units {self.period_units}, '
                'expected at least 1 of each'
            )

    @property
    def window(self) -> WindowConfig:
        """Return what the session remembers."""
        window = WindowConfig(window_s=self.window_s, contiguous=self.contiguous)
        if self.bounded:
            return window
        # What the triggers above can lead to at most: four segments and a question a reply.
        text_tokens = window.text_tokens + 20 * self.num_units
        return replace(window, window_s=self.num_units, text_tokens=text_tokens)


@dataclass(frozen=True, kw_only=True)
class Period:
    """
    What a stretch of the stream cost.

    :param begin_units: first unit.
    :param units: how many; fewer than asked for in the last one.
    :param latency_p50_ms: median time of a step, replies included [ms].
    :param latency_p95_ms: 95th percentile [ms].
    :param control_p50_ms: median time of the same steps on a young stream [ms]; None: not run.
    :param cpu_p50_ms: median CPU time of a step [ms], which a busy machine disturbs less.
    :param resident_mib: memory at the end [MiB].
    :param cache_tokens: most tokens in the cache.
    :param positions: highest position id that was given out, plus one.
    :param segments: segments said.
    """

    begin_units: int
    units: int
    latency_p50_ms: float
    latency_p95_ms: float
    control_p50_ms: float | None
    cpu_p50_ms: float
    resident_mib: float
    cache_tokens: int
    positions: int
    segments: int


class _Series:
    """What was measured at each unit, in memory that was allocated before the first."""

    def __init__(self, num_units: int) -> None:
        self.count = 0
        self._columns: dict[str, npt.NDArray[np.float64]] = {
            name: np.ones(num_units)
            for name in (
                'latency',
                'control',
                'cpu',
                'resident',
                'tokens',
                'positions',
                'segments',
            )
        }

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self._columns[name][self.count] = value
        self.count += 1

    def periods(self, length: int) -> list[Period]:
        return [
            self._period(begin, min(begin + length, self.count))
            for begin in range(0, self.count, length)
        ]

    def _period(self, begin: int, end: int) -> Period:
        part = {name: column[begin:end] for name, column in self._columns.items()}
        p50, p95 = np.percentile(part['latency'], (50, 95))
        control = float(np.median(part['control']))
        return Period(
            begin_units=begin,
            units=end - begin,
            latency_p50_ms=round(float(p50), 3),
            latency_p95_ms=round(float(p95), 3),
            control_p50_ms=None if np.isnan(control) else round(control, 3),
            cpu_p50_ms=round(float(np.median(part['cpu'])), 3),
            resident_mib=round(float(part['resident'][-1]), 2),
            cache_tokens=int(part['tokens'].max()),
            positions=int(part['positions'].max()),
            segments=int(part['segments'].sum()),
        )


def run_stream(
    runtime: Runtime,
    config: StreamBenchConfig,
    *,
    on_unit: Callable[[int, float], None] = lambda count, latency_ms: None,
) -> dict[str, Any]:
    """
    Push a stream through a session as fast as it goes.

    A narration and three alerts stand, each speaks at every 20th unit, and a question is asked
    at every 45th, so that both budgets of the cache are full all the time. In the first and in
    the last full period a second session, which is young in both, reads every unit too: what the
    machine does to both in the same seconds cancels out in their ratio.

    :param runtime: the model.
    :param config: what to run.
    :param on_unit: called after each unit with the number of units read and its latency [ms];
        a KeyboardInterrupt ends the run, and what was measured is returned.
    :return: what JSON can hold; see docs/results/stream.md.
    """
    about = describe(runtime)
    session, control = _make_session(runtime, config), _make_session(runtime, config)
    last_begin = config.num_units // config.period_units * config.period_units
    last_begin -= config.period_units
    stream = SyntheticStream(config.seed)
    series = _Series(config.num_units)
    counts = dict.fromkeys(('questions', 'utterances', 'narrations', 'alerts', 'answers'), 0)
    dialogue = session.dialogues[0]
    begin = time.perf_counter()
    interrupted = False
    try:
        for index in range(config.num_units):
            unit = stream.unit(index)
            asks = index % _QUESTION_EVERY == _QUESTION_EVERY - 1
            counts['questions'] += asks
            cpu_s = time.process_time()
            result, latency_ms = _timed_step(session, unit, asks=asks)
            cpu_ms = (time.process_time() - cpu_s) * 1e3
            control_ms = math.nan
            if index == last_begin > 0:
                control.reset()
            if index < config.period_units or 0 <= index - last_begin < config.period_units:
                _, control_ms = _timed_step(control, unit, asks=asks)
            series.add(
                latency=latency_ms,
                control=control_ms,
                cpu=cpu_ms,
                resident=resident_mib(),
                tokens=dialogue.cache.length,
                positions=dialogue.transcript.next_position,
                segments=len(result.segments),
            )
            _count(counts, result)
            on_unit(index + 1, latency_ms)
    except KeyboardInterrupt:
        interrupted = True
    return {
        'benchmark': 'stream',
        **about,
        'config': {**asdict(config), 'window': asdict(config.window)},
        'units': series.count,
        'interrupted': interrupted,
        'wall_s': round(time.perf_counter() - begin, 1),
        **_summary(series, config.period_units),
        'capacity': dialogue.cache.capacity,
        'cache_mib': round(dialogue.cache.num_bytes / 2**20, 2),
        **counts,
        'periods': [asdict(p) for p in series.periods(config.period_units)],
        'minutes': [asdict(p) for p in series.periods(_MINUTE)],
    }


def _make_session(runtime: Runtime, config: StreamBenchConfig) -> StreamSession:
    return StreamSession(
        runtime.engine,
        runtime.processor,
        runtime.protocol,
        instructions=[
            parse_instruction('narrate', id='narration'),
            *(parse_instruction(f'alert: {text}', id=text) for text in _ALERTS),
        ],
        config=SessionConfig(
            window=config.window, triggers=dict.fromkeys(InstructionKind, _BY_THE_CLOCK)
        ),
    )


def _timed_step(
    session: StreamSession, unit: MultimodalUnit, *, asks: bool
) -> tuple[StepResult, float]:
    """Return what came of a unit, and the time that it took [ms]."""
    if asks:
        session.ask(_QUESTION)
    begin = time.perf_counter()
    result = session.step(unit)
    return result, (time.perf_counter() - begin) * 1e3


def _count(counts: dict[str, int], result: StepResult) -> None:
    names = {
        InstructionKind.NARRATION: 'narrations',
        InstructionKind.ALERT: 'alerts',
        InstructionKind.ANSWER: 'answers',
    }
    for segment in result.segments:
        if segment.sequence == 0:
            counts['utterances'] += 1
            counts[names[segment.kind]] += 1


def _summary(series: _Series, period_units: int) -> dict[str, Any]:
    """Compare the last full period with the first, and what is left of memory after the first."""
    periods = series.periods(period_units)
    full = [p for p in periods if p.units == period_units]
    minutes = [m for m in series.periods(_MINUTE) if m.units == _MINUTE]
    compared = len(full) > 1
    return {
        'latency_growth': _ratio(full, 'latency_p50_ms') if compared else None,
        'latency_growth_paired': _paired_ratio(full) if compared else None,
        'cpu_growth': _ratio(full, 'cpu_p50_ms') if compared else None,
        'memory_growth_mib': (
            round(max(p.resident_mib for p in periods[1:]) - full[0].resident_mib, 2)
            if compared
            else None
        ),
        'latency_ms_per_minute': _slope([m.latency_p50_ms for m in minutes]),
        'memory_mib_per_minute': _slope([m.resident_mib for m in minutes]),
        'positions_max': max((p.positions for p in periods), default=0),
        'cache_tokens_max': max((p.cache_tokens for p in periods), default=0),
    }


def _ratio(full: list[Period], name: str) -> float:
    return round(getattr(full[-1], name) / getattr(full[0], name), 4)


def _paired_ratio(full: list[Period]) -> float:
    """Return how much slower than a young stream the last period is, beside the first."""
    first, last = (p.latency_p50_ms / (p.control_p50_ms or math.nan) for p in (full[0], full[-1]))
    return round(last / first, 4)


def _slope(values: list[float]) -> float | None:
    """Return the growth per minute after the first three, in which a bounded cache fills."""
    values = values[3:]
    if len(values) < 2:
        return None
    return round(float(np.polyfit(np.arange(len(values)), values, 1)[0]), 4)
