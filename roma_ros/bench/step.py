"""The unit step and a reply of 25 tokens, on every engine, against the released demo's loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
import time
from typing import Any

import numpy as np
import torch

from ..model.checkpoint import load_roma, LoadedRoma
from ..model.prompts import MAX_SEGMENT_TOKENS, Protocol
from ..runtime.exported import read_manifest
from ..runtime.factory import ENGINES, load_runtime, model_folder, Runtime
from ..runtime.graph_store import stored_graphs
from ..runtime.results import StepResult
from ..runtime.session import StreamSession
from ..units.unit import MultimodalUnit, UNIT_NS, UnitFlag
from .machine import describe
from .reference import ReferenceLoop
from .roofline import decoder_work, measure_peak, Peak, towers_work, Work
from .silence import silent_config
from .synthetic import SyntheticStream

_MINUTE_10 = 600  # units


@dataclass(frozen=True, kw_only=True)
class StepBenchConfig:
    """
    How much is measured.

    :param engines: names of engines; ``onnxruntime-w8a8`` is that one on graphs so rounded, see
        ``export_model``, exported where there are none yet; ``torch-int4`` is torch so quantized.
    :param graphs: folders of graphs of the same model, in fewer bits say, that are measured, too.
    :param warm_up: units that are read first, of which none is measured.
    :param units: units that are measured at the stream's start, and again at minute 10.
    :param replies: replies that are measured.
    :param window_s: what our session remembers [s]; at minute 10 it is full.
    :param threads: CPU threads of every engine and of the reference; 0: all cores but one.
    :param cpu_time: measure CPU time, which a busy machine tells, too; else by the clock.
    :raises ValueError: when a number is less than 1, or CPU time is wanted of several threads.
    """

    engines: Sequence[str] = ('torch',)
    graphs: Sequence[Path] = ()
    warm_up: int = 5
    units: int = 20
    replies: int = 8
    window_s: int = 60
    threads: int = 0
    cpu_time: bool = False

    def __post_init__(self) -> None:
        if self.cpu_time and self.threads != 1:
            raise ValueError(
                f'threads is {self.threads}, expected 1 where CPU time is measured: that of all '
                'threads is summed'
            )
        for name in ('warm_up', 'units', 'replies', 'window_s'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}, expected at least 1')


class _Ours:
    """A session of ours on one engine, and what was measured of it."""

    def __init__(self, runtime: Runtime, config: StepBenchConfig) -> None:
        self.runtime = runtime
        protocol = Protocol(runtime.protocol.tokenizer)
        protocol.stop_ids = frozenset()  # a reply has 25 tokens, whatever the network would say
        self.session = StreamSession(
            runtime.engine,
            runtime.processor,
            protocol,
            config=silent_config(config.window_s),
        )
        self.parts: list[StepResult] = []

    @property
    def length(self) -> int:
        return self.session.dialogues[0].cache.length

    def step(self, unit: MultimodalUnit) -> None:
        self.parts.append(self.session.step(unit))

    def reply(self) -> None:
        said = self.session.dialogues[0].speak(lambda: False)
        assert len(said.token_ids) == MAX_SEGMENT_TOKENS


def run_step(
    model: str,
    config: StepBenchConfig,
    *,
    device: str = 'auto',
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Measure our engines and the reference loop in turns, unit by unit, in one process.

    The reference reads the same units with the same weights. At minute 10 its cache has grown to
    600 units, filled with noise instead of being waited for; our session's window is full.

    :param model: a checkpoint's folder; empty: roma-tiny.
    :param config: what to run.
    :param device: of all.
    :param on_progress: takes what is being measured.
    :return: what JSON can hold; see docs/results/speed.md.
    """
    ours = {}
    path = model_folder(model)
    for name in config.engines:
        on_progress(f'loading {name}')
        engine = max((e for e in ENGINES if f'{name}-'.startswith(f'{e}-')), key=len, default=name)
        source, quantize = path, name[len(engine) + 1 :]
        if engine == 'onnxruntime' and quantize:
            source = stored_graphs(path, dtype=torch.float32, quantize=quantize)
            quantize = ''
        runtime = load_runtime(
            source, engine=engine, device=device, threads=config.threads, quantize=quantize
        )
        ours[name] = _Ours(runtime, config)
    for folder in config.graphs:
        manifest = read_manifest(folder)
        name = f'onnxruntime-{manifest.quantization or manifest.dtype}'
        on_progress(f'loading {name}')
        runtime = load_runtime(folder, device=device, threads=config.threads)
        ours[name] = _Ours(runtime, config)
    first = next(iter(ours.values())).runtime
    loaded = load_roma(path, device=first.engine.device)
    reference = ReferenceLoop(loaded.model, loaded.processor, first.protocol)
    loops: dict[str, Any] = {'reference': reference, **ours}
    units = _whole_units()
    clock = time.process_time if config.cpu_time else time.perf_counter

    def take_turns(what: str, call: Callable[[Any], None], count: int) -> dict[str, list[float]]:
        times: dict[str, list[float]] = {name: [] for name in loops}
        for index in range(count):
            on_progress(f'{what}, {index + 1} of {count}')
            for name, loop in loops.items():
                timed = _timed_ms(partial(call, loop), first.engine.device, clock)
                times[name].append(timed)
        return times

    read_before = dict.fromkeys(loops.values(), 0)

    def read(loop: Any) -> None:
        loop.step(_renumbered(units, read_before[loop]))
        read_before[loop] += 1

    take_turns('warming up', read, config.warm_up)
    for loop in ours.values():
        loop.parts.clear()
    start_lengths = {name: loop.length for name, loop in loops.items()}
    start = take_turns('units at the start', read, config.units)
    parts = {name: _parts(loop.parts) for name, loop in ours.items()}
    reply_lengths = {name: loop.length for name, loop in loops.items()}
    reply = take_turns('replies', lambda loop: loop.reply(), config.replies)
    for name, loop in ours.items():
        for _ in range(config.window_s + config.warm_up):
            on_progress(f'filling the window of {name}')
            read(loop)
    unit_tokens = _unit_tokens(loaded, units[0])
    reference.age(max(0, _MINUTE_10 * unit_tokens - reference.length))
    take_turns('warming up', read, 2)
    late_lengths = {name: loop.length for name, loop in loops.items()}
    late = take_turns('units at minute 10', read, config.units)

    peaks = _Peaks(loaded, clock)
    figures = {
        name: {
            'unit_ms_p50': _p50(start[name]),
            'unit_ms_p95': round(float(np.percentile(start[name], 95)), 3),
            'unit_minute_10_ms_p50': _p50(late[name]),
            'unit_minute_10_ms_p95': round(float(np.percentile(late[name], 95)), 3),
            'reply_ms_p50': _p50(reply[name]),
            'roofline_share': peaks.share(
                peaks.unit(units[0], start_lengths[name], unit_tokens), start[name]
            ),
            'roofline_share_minute_10': peaks.share(
                peaks.unit(units[0], late_lengths[name], unit_tokens), late[name]
            ),
            'roofline_share_reply': peaks.share(peaks.reply(reply_lengths[name]), reply[name]),
            'tokens_minute_10': late_lengths[name],
            **parts.get(name, {}),
        }
        for name in loops
    }
    of_reference = figures.pop('reference')
    best = min(figures, key=lambda name: figures[name]['unit_ms_p50'])
    return {
        'benchmark': 'step',
        **describe(first),
        'engine': best,
        'config': {
            **vars(config),
            'engines': list(config.engines),
            'graphs': [folder.name for folder in config.graphs],
        },
        'ratio': {
            'unit_start': _ratio(of_reference, figures[best], 'unit_ms_p50'),
            'unit_minute_10': _ratio(of_reference, figures[best], 'unit_minute_10_ms_p50'),
            'reply': _ratio(of_reference, figures[best], 'reply_ms_p50'),
        },
        'reference': of_reference,
        'engines': figures,
        'peak': {
            'gflops': round(peaks.peak.flops / 1e9, 1),
            'bandwidth_gb_s': round(peaks.peak.bandwidth / 1e9, 1),
        },
    }


class _Peaks:
    """What the device can do, and the share of it that was used."""

    def __init__(self, loaded: LoadedRoma, clock: Callable[[], float]) -> None:
        self._loaded = loaded
        model = loaded.model
        self._item = model.thinker.lm_head.weight.element_size()
        weights = sum(p.numel() for p in model.decoder.parameters()) * self._item
        self.peak: Peak = measure_peak(model.device, model.dtype, working_set=weights, clock=clock)

    def unit(self, unit: MultimodalUnit, length: int, unit_tokens: int) -> Work:
        features = self._loaded.processor(unit)
        assert features.pixel_values is not None
        assert features.mel is not None
        towers = towers_work(
            self._loaded.config,
            patches=len(features.pixel_values),
            mel_frames=features.mel.shape[1],
            weight_bytes=self._item,
        )
        return towers + self._decoder(unit_tokens, length)

    def reply(self, length: int) -> Work:
        work = Work(0, 0)
        for index in range(MAX_SEGMENT_TOKENS):
            work += self._decoder(1, length + index)
        return work

    def _decoder(self, new_tokens: int, length: int) -> Work:
        return decoder_work(
            self._loaded.config,
            new_tokens=new_tokens,
            length=length,
            weight_bytes=self._item,
            cache_bytes=self._item,
        )

    def share(self, work: Work, times_ms: list[float]) -> float:
        return round(self.peak.least_s(work) * 1e3 / _p50(times_ms), 4)


def _whole_units() -> list[MultimodalUnit]:
    """Return units that lack nothing, as the reference wants them."""
    stream = SyntheticStream(0)
    units = (stream.unit(index) for index in range(40))
    return [unit for unit in units if unit.flags is UnitFlag.NONE]


def _renumbered(units: Sequence[MultimodalUnit], index: int) -> MultimodalUnit:
    """Return the unit of that index of a stream that repeats ``units`` without a gap."""
    unit = units[index % len(units)]
    shift_ns = index * UNIT_NS - unit.start_ns
    return replace(
        unit,
        index=index,
        start_ns=unit.start_ns + shift_ns,
        end_ns=unit.end_ns + shift_ns,
        frame_stamps_ns=tuple(stamp_ns + shift_ns for stamp_ns in unit.frame_stamps_ns),
    )


def _unit_tokens(loaded: LoadedRoma, unit: MultimodalUnit) -> int:
    with torch.inference_mode():
        return len(loaded.model.encode(loaded.processor(unit)))


def _timed_ms(call: Callable[[], None], device: torch.device, clock: Callable[[], float]) -> float:
    begin = clock()
    call()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return (clock() - begin) * 1e3


def _parts(results: list[StepResult]) -> dict[str, float]:
    """Return where a unit's time goes, by its median."""
    return {
        name: _p50([getattr(result, name) for result in results])
        for name in ('process_ms', 'encode_ms', 'step_ms')
    }


def _p50(values: list[float]) -> float:
    return round(float(np.median(values)), 3)


def _ratio(reference: dict[str, Any], ours: dict[str, Any], name: str) -> float:
    return round(reference[name] / ours[name], 2)
