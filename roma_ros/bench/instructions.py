"""What one more standing instruction costs, beside one stream and on a stream of its own."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
import time
from typing import Any

import numpy as np

from ..policy.instructions import Instruction, parse_instruction
from ..runtime.factory import Runtime
from ..runtime.session import StreamSession
from .machine import describe
from .silence import silent_config
from .synthetic import SyntheticStream


@dataclass(frozen=True, kw_only=True)
class InstructionCost:
    """
    A number of alerts in one layout, against none.

    :param alerts: N.
    :param share_stream: beside one stream; False: each on a stream of its own.
    :param unit_ms: median time of a unit [ms].
    :param ratio: median over units of the unit's time against that without alerts.
    :param ms_per_alert: median over units of the added time, for one alert [ms].
    :param cache_tokens: tokens in all caches, more than without alerts.
    :param cache_bytes: what these tokens take [bytes].
    :param buffer_bytes: what the session allocated more than without alerts [bytes].
    """

    alerts: int
    share_stream: bool
    unit_ms: float
    ratio: float
    ms_per_alert: float | None
    cache_tokens: int
    cache_bytes: int
    buffer_bytes: int


def run_instructions(
    runtime: Runtime,
    *,
    numbers: Sequence[int] = (1, 2, 4, 8),
    num_units: int = 60,
    window_s: int = 60,
    seed: int = 0,
    on_unit: Callable[[int, int], None] = lambda count, total: None,
) -> dict[str, Any]:
    """
    Measure sessions with 0 and more alerts, all layouts at each unit in turn.

    The sessions read the same units, interleaved, so that whatever else the machine does falls
    on all alike. Times are taken after the window is full; nobody speaks.

    :param runtime: the model.
    :param numbers: of alerts.
    :param num_units: measured units.
    :param window_s: of the sessions [s].
    :param seed: of the stream.
    :param on_unit: called after each unit with how many are read, and how many will be.
    :return: what JSON can hold; see docs/results/stream.md.
    """
    about = describe(runtime)
    cases = [(0, True), *((n, shared) for shared in (True, False) for n in numbers)]
    sessions = [_make_session(runtime, *case, window_s=window_s) for case in cases]
    stream = SyntheticStream(seed)
    total = window_s + num_units
    times_ms = np.empty((total, len(cases)))
    order = np.random.default_rng(seed)
    for index in range(total):
        unit = stream.unit(index)
        for case in order.permutation(len(cases)):
            begin = time.perf_counter()
            sessions[case].step(unit)
            times_ms[index, case] = (time.perf_counter() - begin) * 1e3
        on_unit(index + 1, total)
    times_ms = times_ms[window_s:]
    costs = [
        _cost(case, session, sessions[0], times_ms[:, i], times_ms[:, 0])
        for i, (case, session) in enumerate(zip(cases, sessions, strict=True))
    ]
    return {
        'benchmark': 'instructions',
        **about,
        'config': {'num_units': num_units, 'window_s': window_s, 'seed': seed},
        'costs': [asdict(c) for c in costs],
        'against_own_stream': {
            str(a.alerts): round(a.ms_per_alert / b.ms_per_alert, 4)
            for a in costs
            for b in costs
            if a.alerts == b.alerts and a.ms_per_alert and b.ms_per_alert
            if a.share_stream > b.share_stream
        },
    }


def _cost(
    case: tuple[int, bool],
    session: StreamSession,
    without: StreamSession,
    times_ms: np.ndarray,
    base_ms: np.ndarray,
) -> InstructionCost:
    number, shared = case
    tokens = _tokens(session) - _tokens(without)
    cache = without.dialogues[0].cache
    per_alert = float(np.median(times_ms - base_ms)) / number if number else None
    return InstructionCost(
        alerts=number,
        share_stream=shared,
        unit_ms=round(float(np.median(times_ms)), 3),
        ratio=round(float(np.median(times_ms / base_ms)), 4),
        ms_per_alert=None if per_alert is None else round(per_alert, 3),
        cache_tokens=tokens,
        cache_bytes=tokens * cache.num_bytes // cache.capacity,
        buffer_bytes=_buffers(session) - _buffers(without),
    )


def _tokens(session: StreamSession) -> int:
    return sum(dialogue.cache.length for dialogue in session.dialogues)


def _buffers(session: StreamSession) -> int:
    return sum(dialogue.cache.num_bytes for dialogue in session.dialogues)


def _make_session(runtime: Runtime, number: int, shared: bool, *, window_s: int) -> StreamSession:
    return StreamSession(
        runtime.engine,
        runtime.processor,
        runtime.protocol,
        instructions=[_alert(i) for i in range(number)],
        config=silent_config(window_s, max_instructions=max(number, 1), share_stream=shared),
    )


def _alert(index: int) -> Instruction:
    return parse_instruction(f'alert: somebody opens door {index + 1}', id=f'door-{index + 1}')
