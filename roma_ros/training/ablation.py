"""
Does the recipe matter? The paper's ablations at a small size, several seeds each.

All variants start from the same trained towers, which stay as they are, and a decoder drawn anew,
the same for all variants of a seed; they see the same streams for as many steps.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
import fcntl
import json
from pathlib import Path
import shutil
from typing import Any, Literal

from ..model.checkpoint import load_roma, LoadedRoma, save_roma
from ..model.prompts import Protocol
from ..model.store import find_checkpoint
from ..model.thinker import build_roma
from .checkpoints import last_checkpoint
from .curriculum import Decider, Phase, read_plan, TrainConfig
from .data import MakeBatch
from .forward import TOWERS
from .frozen import freeze_streams, FrozenMaker
from .initial import draw_weights
from .tabletop.labels import Split
from .trainer import Trainer

_PLAN_NAME, _RESULT_NAME, _LOCK_NAME = 'ablation.json', 'result.json', '.lock'


@dataclass(frozen=True, kw_only=True)
class Variant:
    """
    One recipe.

    :param name: in the table.
    :param mixed: stage 2 from the begin, for as many steps as both stages have.
    :param decided_by: the speak head, or the language model by a token of silence.
    :param num_layers_mixed: K of the speak head.
    :param positive_weight: w_pos.
    """

    name: str
    mixed: bool = False
    decided_by: Decider = 'head'
    num_layers_mixed: int = 4
    positive_weight: float = 3.0


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """
    Variants and what they have in common.

    :param model: whose towers, sizes and tokenizer serve.
    :param variants: the first is the one that the others are held against.
    :param seeds: of the decoder's first weights and the order of the streams.
    :param train_streams: different training streams.
    :param validation_streams: streams that all are measured on.
    :param duration_s: of each.
    :param streams: in a batch.
    :param answer_steps: of stage 1.
    :param speak_steps: of stage 2.
    :param learning_rate: highest, in both stages.
    :param final_learning_rate: at the end of each stage.
    :param warmup_steps: of each stage.
    :param precision: see :class:`TrainConfig`.
    :raises ValueError: when there is no variant or seed, or two have one name.
    """

    model: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    train_streams: int
    validation_streams: int
    duration_s: int
    streams: int
    answer_steps: int
    speak_steps: int
    learning_rate: float
    final_learning_rate: float = 0.0
    warmup_steps: int = 0
    precision: Literal['no', 'bf16'] = 'no'

    def __post_init__(self) -> None:
        if not self.variants or not self.seeds:
            raise ValueError('list at least one of variants, and of seeds')
        names = [folder_name(variant, 0) for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError(f'variants must have different names, got {", ".join(names)}')

    def phases(self, variant: Variant) -> tuple[Phase, ...]:
        """Return the stages of a variant."""
        answers = Phase(
            name='answers',
            objective='answers',
            steps=self.answer_steps,
            streams=self.streams,
            duration_s=self.duration_s,
            learning_rate=self.learning_rate,
            final_learning_rate=self.final_learning_rate,
            warmup_steps=self.warmup_steps,
            train='decoder',
        )
        speak = replace(
            answers,
            name='speak',
            objective='speak',
            steps=self.speak_steps + (self.answer_steps if variant.mixed else 0),
            positive_weight=variant.positive_weight,
            decided_by=variant.decided_by,
        )
        return (speak,) if variant.mixed else (answers, speak)


def read_ablation(path: str | Path) -> Ablation:
    """
    Read variants and what they have in common.

    :param path: a YAML file whose keys are the fields of :class:`Ablation`.
    :return: both.
    :raises ValueError: when a key is not known or missing, or a value is wrong.
    """
    return read_plan(path, Ablation, 'the ablation', parts={'variants': (Variant, 'a variant')})


def folder_name(variant: Variant, seed: int) -> str:
    """Return the name of the folder of one run."""
    return f'{variant.name.replace(" ", "-")}-{seed}'


def run_ablation(
    ablation: Ablation, folder: Path, *, report: Callable[[str], None]
) -> dict[str, list[dict[str, float]]]:
    """
    Run what has not run yet, and return what all runs have reached.

    It may be interrupted at any time and started again, also several times at once: each run
    belongs to the process that began it.

    :param ablation: what.
    :param folder: of the runs.
    :param report: takes one line of progress.
    :return: of each variant what validation measured last, by seed; fewer where another process
        still has a run in hand.
    :raises ValueError: when the folder holds the runs of another plan.
    """
    _check_plan(ablation, folder)
    loaded = load_roma(find_checkpoint(ablation.model))
    counts: dict[Split, int] = {
        'validation': ablation.validation_streams,
        'train': ablation.train_streams,
    }
    with _claim(folder, wait=True):
        streams = {
            split: freeze_streams(
                loaded,
                folder / 'streams',
                split=split,
                count=count,
                duration_s=ablation.duration_s,
                report=report,
            )
            for split, count in counts.items()
        }
    protocol = Protocol(loaded.tokenizer)

    def maker(phase: Phase, split: Split) -> MakeBatch:
        shuffle = split == 'train'
        return FrozenMaker(streams[split], protocol, objective=phase.objective, shuffle=shuffle)

    # All variants of a seed before the next one: whoever looks early can compare already.
    runs = [(v, seed) for seed in ablation.seeds for v in ablation.variants]
    for number, (variant, seed) in enumerate(runs, 1):
        target = folder / folder_name(variant, seed)
        target.mkdir(exist_ok=True)
        with _claim(target) as is_mine:
            if is_mine and not (target / _RESULT_NAME).is_file():
                name = f'[{number}/{len(runs)}] {variant.name}, seed {seed}: '
                _run(
                    ablation,
                    variant,
                    seed,
                    target,
                    loaded=loaded,
                    maker=maker,
                    report=lambda line, name=name: report(name + line),  # type: ignore[misc]
                )
    return read_results(ablation, folder)


def read_results(ablation: Ablation, folder: Path) -> dict[str, list[dict[str, float]]]:
    """
    Return what the finished runs have reached.

    :param ablation: which.
    :param folder: of the runs.
    :return: of each variant what validation measured last, by seed.
    """
    results = {}
    for variant in ablation.variants:
        files = [folder / folder_name(variant, s) / _RESULT_NAME for s in ablation.seeds]
        results[variant.name] = [
            json.loads(file.read_text(encoding='utf-8')) for file in files if file.is_file()
        ]
    return results


def _run(
    ablation: Ablation,
    variant: Variant,
    seed: int,
    folder: Path,
    *,
    loaded: LoadedRoma,
    maker: Callable[[Phase, Split], MakeBatch],
    report: Callable[[str], None],
) -> None:
    start = folder / 'start'
    if not (start / 'config.json').is_file():
        _save_start(loaded, variant, seed, start)
    phases = ablation.phases(variant)
    steps = max(phase.steps for phase in phases)
    config = TrainConfig(
        model=str(start),
        phases=phases,
        seed=seed,
        precision=ablation.precision,
        workers=0,
        validate_every=steps,
        validation_streams=ablation.validation_streams,
        checkpoint_every=max(1, steps // 2),
    )
    Trainer(config, folder, report=report, maker=maker).run(resume=True)
    log = (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    values = [json.loads(line) for line in log if '"validation/' in line][-1]
    result = {
        name.removeprefix('validation/'): value
        for name, value in values.items()
        if name.startswith('validation/')
    }
    (folder / _RESULT_NAME).write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    # Weights of runs this small serve nobody; what they reached is in the result and the log.
    while (checkpoint := last_checkpoint(folder)) is not None:
        shutil.rmtree(checkpoint)
    for name in ('start', 'model'):
        shutil.rmtree(folder / name)


def _save_start(loaded: LoadedRoma, variant: Variant, seed: int, folder: Path) -> None:
    """Write the trained towers with a decoder and a speak head drawn by a seed."""
    head = replace(loaded.config.speak_head, num_layers_mixed=variant.num_layers_mixed)
    model = build_roma(replace(loaded.config, speak_head=head), seed=seed)
    draw_weights(model, seed=seed)
    towers = {
        name: tensor
        for name, tensor in loaded.model.state_dict().items()
        if name.startswith(TOWERS)
    }
    model.load_state_dict(towers, strict=False)
    save_roma(model, folder, tokenizer=loaded.tokenizer)


def _check_plan(ablation: Ablation, folder: Path) -> None:
    """Refuse to mix the runs of two plans."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = json.loads(json.dumps(asdict(ablation)))
    file = folder / _PLAN_NAME
    if not file.is_file():
        file.write_text(json.dumps(plan, indent=1) + '\n', encoding='utf-8')
        return
    found: dict[str, Any] = json.loads(file.read_text(encoding='utf-8'))
    others = [f.name for f in fields(Ablation) if found.get(f.name) != plan[f.name]]
    if others:
        raise ValueError(
            f'this folder holds runs of another plan, which differs in {", ".join(others)}: name '
            f'another folder than {folder}'
        )


@contextmanager
def _claim(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a folder for this process, as long as it lives; say whether that worked."""
    with (folder / _LOCK_NAME).open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
