"""What a unit costs against the stream's age, its window, frames and alerts, and the network."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
import time
from typing import Any

import numpy as np

from ..model.config import RomaConfig
from ..model.processor import UnitProcessor
from ..model.thinker import build_roma
from ..policy.instructions import parse_instruction
from ..runtime.engine import Engine
from ..runtime.factory import Runtime
from ..runtime.session import StreamSession
from ..runtime.torch_engine import TorchEngine
from .machine import describe
from .silence import silent_config
from .synthetic import SyntheticStream


@dataclass(frozen=True, kw_only=True)
class ScalingPoint:
    """
    One value on one axis.

    :param axis: what is varied; all else is as it is elsewhere.
    :param value: of it.
    :param tokens: in the cache when it was measured.
    :param unit_ms_p50: median time of a unit [ms].
    :param ratio: to the first value of the axis.
    """

    axis: str
    value: float
    tokens: int
    unit_ms_p50: float
    ratio: float


def run_scaling(
    runtime: Runtime,
    config: RomaConfig,
    *,
    num_units: int = 20,
    window_s: int = 30,
    on_point: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Measure along five axes; each point is a session whose window is full.

    The network's size is varied with random weights on the engine torch; the rest runs on the
    engine that is given.

    :param runtime: the model.
    :param config: its sizes.
    :param num_units: measured at each point.
    :param window_s: of the sessions, where it is not varied [s].
    :param on_point: takes what is being measured.
    :return: what JSON can hold.
    """
    points: list[ScalingPoint] = []
    for axis, cases in _axes(runtime, config, window_s):
        first: float | None = None
        for value, session, age in cases:
            on_point(f'{axis} {value:g}')
            median = _median_ms(session, age, num_units)
            first = median if first is None else first
            points.append(
                ScalingPoint(
                    axis=axis,
                    value=value,
                    tokens=session.dialogues[0].cache.length,
                    unit_ms_p50=round(median, 3),
                    ratio=round(median / first, 3),
                )
            )
    return {
        'benchmark': 'scaling',
        **describe(runtime),
        'config': {'num_units': num_units, 'window_s': window_s},
        'points': [asdict(point) for point in points],
    }


_Case = tuple[float, StreamSession, int]


def _axes(
    runtime: Runtime, config: RomaConfig, default_s: int
) -> Iterator[tuple[str, Iterator[_Case]]]:
    """Yield each axis with its cases: value, session, and units to read before measuring."""

    def session(
        *,
        engine: Engine = runtime.engine,
        processor: UnitProcessor = runtime.processor,
        window_s: int = default_s,
        alerts: int = 0,
    ) -> StreamSession:
        return StreamSession(
            engine,
            processor,
            runtime.protocol,
            instructions=[parse_instruction(f'alert: bell {i}', id=f'{i}') for i in range(alerts)],
            config=silent_config(window_s, max_instructions=max(1, alerts)),
        )

    yield 'age [s]', ((age, session(), age) for age in (default_s * n for n in (1, 2, 4, 8)))
    yield 'window [s]', ((w, session(window_s=w), w) for w in (default_s * n for n in (1, 2, 4)))
    yield 'alerts', ((n, session(alerts=n), default_s) for n in (0, 1, 4, 16))
    yield (
        'frame [pixels]',
        (
            (pixels, session(processor=_processor(config, pixels)), default_s)
            for pixels in (4_096, 16_384, 65_536)
        ),
    )
    yield (
        'network [million parameters]',
        (
            (
                sum(p.numel() for p in model.parameters()) / 1e6,
                session(engine=TorchEngine(model)),
                default_s,
            )
            for model in (
                build_roma(_scaled(config, width=w, layers=n), seed=0)
                for w, n in ((1, 1), (1, 2), (2, 2), (4, 2))
            )
        ),
    )


def _processor(config: RomaConfig, pixels: int) -> UnitProcessor:
    return UnitProcessor(replace(config.processor, video_max_pixels=pixels))


def _scaled(config: RomaConfig, *, width: int, layers: int) -> RomaConfig:
    """Return a network that is so many times as wide and as deep, heads growing in number."""
    thinker = deepcopy(config.thinker)
    text, vision, audio = thinker.text_config, thinker.vision_config, thinker.audio_config
    text.hidden_size *= width
    text.intermediate_size *= width
    text.num_attention_heads *= width
    text.num_key_value_heads *= width
    text.num_hidden_layers *= layers
    text.layer_types = text.layer_types * layers
    vision.out_hidden_size = audio.output_dim = text.hidden_size
    return replace(
        config,
        thinker=thinker,
        speak_head=replace(config.speak_head, hidden_size=text.hidden_size),
    )


def _median_ms(session: StreamSession, age: int, num_units: int) -> float:
    stream = SyntheticStream(0)
    times = []
    for index in range(age + num_units):
        unit = stream.unit(index)
        begin = time.perf_counter()
        session.step(unit)
        times.append((time.perf_counter() - begin) * 1e3)
    return float(np.median(times[age:]))
