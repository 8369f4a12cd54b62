"""A whole benchmark: its samples, their lines, its figures."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ...model.identity import model_identity, trained_on
from ..runner import Executor, run_here, run_samples
from .benchmark import Benchmark
from .worker import BenchmarkJob

#: Bumped where a line of the same name would come out otherwise.
_VERSION = 1


def run_benchmark(
    benchmark: Benchmark,
    job: BenchmarkJob,
    *,
    data: Path,
    folder: Path,
    limit: int | None = None,
    execute: Executor = run_here,
    on_line: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """
    Run a benchmark, or go on with what an earlier run left, and return its figures.

    :param benchmark: which one.
    :param job: the model; where its triggers are not set, the benchmark's presets are used.
    :param data: its owner's files.
    :param folder: where the lines go.
    :param limit: run so many samples from the first on; None: all.
    :param execute: where the samples run.
    :param on_line: told how many samples are done, and of how many.
    :return: what JSON can hold.
    :raises ValueError: when data are missing or not in their official format, or there are none.
    """
    samples = benchmark.samples(data)[:limit]
    if not samples:
        raise ValueError(f'{benchmark.title}: there is no sample in {data}')
    playing = replace(job.playing, triggers={**benchmark.triggers, **job.playing.triggers})
    model = Path(job.model)
    settings = asdict(playing) | {
        'triggers': {name: asdict(trigger) for name, trigger in playing.triggers.items()}
    }
    lines = run_samples(
        samples,
        replace(job, playing=playing),
        path=folder / f'{benchmark.name}.jsonl',
        identity={
            'benchmark': benchmark.name,
            'version': _VERSION,
            'model': model_identity(model, quantize=job.quantize),
            'settings': settings,
        },
        execute=execute,
        on_line=on_line,
    )
    declared = trained_on(model)
    return {
        'benchmark': benchmark.name,
        'title': benchmark.title,
        'samples': len(lines),
        'hours': round(sum(line['seconds'] for line in lines) / 3600, 4),
        'model': model_identity(model, quantize=job.quantize),
        # None: the model's maker does not say.
        'trained_on_it': None if declared is None else bool({*declared} & {*benchmark.datasets}),
        'settings': settings,
        'date': datetime.now().astimezone().isoformat(timespec='seconds'),
        'figures': benchmark.score(lines),
        'published': [asdict(item) for item in benchmark.published],
    }
