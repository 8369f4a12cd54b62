"""A whole tabletop evaluation: thresholds, streams, figures, baselines."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ...model.identity import model_identity, trained_on
from ...training.tabletop.labels import Split
from ..runner import Executor, Line, run_here, run_samples
from .tabletop import preset_triggers, TabletopJob, TabletopSample, Triggers
from .tabletop_baselines import baseline_figures
from .tabletop_score import score_tabletop
from .tabletop_thresholds import first_triggers, fit_triggers

#: The bound on false alerts per hour and alert that thresholds are fitted to.
MAX_FALSE_PER_HOUR = 6.0
#: Bumped where a line of the same name would come out otherwise.
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class TabletopEvaluation:
    """
    What to evaluate on.

    :param split: the streams that the figures are of.
    :param seed: of the first stream; the others follow.
    :param streams: how many.
    :param seconds: length of each.
    :param calibrate_on: the split whose streams give the thresholds; None: the presets.
    :param calibration_streams: how many of those.
    :raises ValueError: when thresholds were to be fitted on the split that is judged.
    """

    split: Split = 'test'
    seed: int = 0
    streams: int = 200
    seconds: int = 16
    calibrate_on: Split | None = None
    calibration_streams: int = 100

    def __post_init__(self) -> None:
        if min(self.streams, self.seconds, self.calibration_streams) < 1 or self.seed < 0:
            raise ValueError(
                f'streams is {self.streams}, seconds {self.seconds}, calibration_streams '
                f'{self.calibration_streams}, seed {self.seed}; expected at least 1, and 0'
            )
        if self.calibrate_on is not None and self.calibrate_on == self.split:
            raise ValueError(
                f'thresholds fitted on the {self.split} split cannot be judged on it; '
                'calibrate on another one'
            )

    def samples(self) -> list[TabletopSample]:
        """Return the streams that the figures are of."""
        return _samples(self.split, self.seed, self.streams, self.seconds)

    def calibration_samples(self) -> list[TabletopSample]:
        """Return the streams that give the thresholds."""
        assert self.calibrate_on is not None
        return _samples(self.calibrate_on, 0, self.calibration_streams, self.seconds)


def evaluate_tabletop(
    evaluation: TabletopEvaluation,
    job: TabletopJob,
    *,
    folder: Path,
    execute: Executor = run_here,
    on_line: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> dict[str, Any]:
    """
    Run all streams, or go on with those that an earlier run left, and return the figures.

    :param evaluation: what to evaluate on.
    :param job: the model; its triggers are used where nothing is calibrated.
    :param folder: where the lines go, one file a pass.
    :param execute: where the streams run.
    :param on_line: told the pass, how many streams are done, and of how many.
    :return: what JSON can hold.
    """
    path = Path(job.model)
    model = model_identity(path, quantize=job.quantize)

    def run(name: str, samples: list[TabletopSample], triggers: Triggers) -> list[Line]:
        return run_samples(
            samples,
            replace(job, triggers=triggers),
            path=folder / f'{name}.jsonl',
            identity={
                'benchmark': 'tabletop',
                'version': _VERSION,
                'model': model,
                'triggers': _as_dicts(triggers),
            },
            execute=execute,
            on_line=lambda done, total: on_line(name, done, total),
        )

    triggers, source = job.triggers, 'given'
    if triggers == preset_triggers():
        source = 'presets'
    if evaluation.calibrate_on is not None:
        samples = evaluation.calibration_samples()
        # Twice: what is said at the fitted thresholds changes what is seen after it.
        for step in (1, 2):
            given = first_triggers() if step == 1 else triggers
            lines = run(f'{evaluation.calibrate_on}-{step}', samples, given)
            triggers = fit_triggers(lines, max_false_per_hour=MAX_FALSE_PER_HOUR)
        source = f'{len(samples)} streams of the {evaluation.calibrate_on} split, seeds from 0'
    lines = run(evaluation.split, evaluation.samples(), triggers)
    compute_s = sum(line['compute_s'] for line in lines)
    stream_s = sum(line['seconds'] for line in lines)
    return {
        'benchmark': 'tabletop',
        'split': evaluation.split,
        'seeds': {'first': evaluation.seed, 'count': evaluation.streams},
        'seconds': evaluation.seconds,
        'model': model,
        'trained_on': trained_on(path),
        'date': datetime.now().astimezone().isoformat(timespec='seconds'),
        'thresholds': {'from': source} | _as_dicts(triggers),
        'times_real_time': round(stream_s / compute_s, 2) if compute_s else None,
        **score_tabletop(lines),
        'baselines': baseline_figures(lines),
    }


def _samples(split: Split, seed: int, count: int, seconds: int) -> list[TabletopSample]:
    return [TabletopSample(split=split, seed=seed + i, seconds=seconds) for i in range(count)]


def _as_dicts(triggers: Triggers) -> dict[str, dict[str, Any]]:
    return {name: asdict(trigger) for name, trigger in triggers.items()}
