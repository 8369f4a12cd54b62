"""
What is learned in which order: a run's plan, read from one YAML file.

Towers first, where a network starts from nothing; then the two stages as published (paper
§3.2.2): the streaming format, with the language loss on answers alone; then when to speak.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
import math
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml  # type: ignore[import-untyped]

Objective = Literal['towers', 'answers', 'speak']
Part = Literal['all', 'decoder', 'adapters', 'head']
Decider = Literal['head', 'token']

_P = TypeVar('_P')


@dataclass(frozen=True, kw_only=True)
class Phase:
    """
    One stretch of training, with one optimizer and one learning rate schedule.

    :param name: in logs and checkpoints.
    :param objective: ``towers``: exact labels of each token; ``answers``: stage 1, language loss
        on what is said, without alerts; ``speak``: stage 2, when to speak, and what to say.
    :param steps: optimizer steps.
    :param streams: streams in a batch, in each process.
    :param duration_s: length of the streams [s].
    :param learning_rate: highest.
    :param final_learning_rate: at the end of the cosine.
    :param warmup_steps: steps until the highest.
    :param language_weight: of the language loss; λ of stage 2 (the paper does not tell it).
    :param positive_weight: w_pos of stage 2 (paper §5.1).
    :param decided_by: ``head``: the speak head says when to speak; ``token``: the language model
        does, by the probability that it does not say a token of silence (for comparison: nothing
        at run time reads it).
    :param tower_weight: of the towers' exact labels beside the stage's own loss; 0: none.
    :param anchor_weight: of what an alert's anchor has to know; see ``anchor_probe``; 0: none.
    :param train: ``all``; ``decoder``: all but the towers, as published; ``adapters``: small
        matrices added to the decoder (LoRA), and the speak head; ``head``: the speak head alone.
    :param adapter_rank: of the added matrices.
    :param accumulate: batches in one optimizer step.
    :param cards: share of decks of cards among the streams, 0..1. See ``cards``.
    :param drill: many more conditions beside each stream. See ``drills``.
    :param word_noise: share of the words said before that are read as another word, 0..1; see
        ``batching.mishear``.
    :param encoded: so many tabletop streams are made and encoded once, at the begin of the phase,
        and learned from again and again; only where the towers do not learn. See ``encoded``.
        0: each stream is a new one.
    :param spoken: so many sentences are said and encoded once, beside them, and drilled questions
        are asked aloud in them. See ``spoken``.
    :raises ValueError: when a value is out of its range.
    """

    name: str
    objective: Objective
    steps: int
    streams: int
    duration_s: int
    learning_rate: float
    final_learning_rate: float = 0.0
    warmup_steps: int = 0
    language_weight: float = 1.0
    positive_weight: float = 3.0
    decided_by: Decider = 'head'
    tower_weight: float = 0.0
    anchor_weight: float = 0.0
    train: Part = 'all'
    adapter_rank: int = 64
    accumulate: int = 1
    cards: float = 0.0
    drill: bool = False
    word_noise: float = 0.0
    encoded: int = 0
    spoken: int = 0

    def __post_init__(self) -> None:
        for field, allowed in (
            ('objective', ('towers', 'answers', 'speak')),
            ('train', ('all', 'decoder', 'adapters', 'head')),
            ('decided_by', ('head', 'token')),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(
                    f'{field} of phase {self.name!r} is {getattr(self, field)!r}, expected one '
                    f'of {", ".join(allowed)}'
                )
        for field in ('steps', 'streams', 'duration_s', 'accumulate', 'adapter_rank'):
            if getattr(self, field) < 1:
                raise ValueError(
                    f'{field} of phase {self.name!r} is {getattr(self, field)}, expected 1 or more'
                )
        for field in ('cards', 'word_noise'):
            if not 0.0 <= getattr(self, field) <= 1.0:
                raise ValueError(
                    f'{field} of phase {self.name!r} is {getattr(self, field)}, expected a '
                    'share, 0..1'
                )
        if self.encoded and (self.train == 'all' or self.objective == 'towers'):
            raise ValueError(
                f'phase {self.name!r} encodes its streams once, and its towers would learn: set '
                'encoded to 0, or train to decoder, adapters or head'
            )
        if self.spoken and not (self.encoded and self.drill):
            raise ValueError(
                f'phase {self.name!r} says sentences aloud, which only drills beside encoded '
                'streams do: set drill and encoded, or spoken to 0'
            )
        if not 0.0 <= self.final_learning_rate <= self.learning_rate:
            raise ValueError(
                f'learning rates of phase {self.name!r} are {self.learning_rate} down to '
                f'{self.final_learning_rate}; expected positive ones that fall'
            )

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step: a linear rise, then a cosine."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        height = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        low = self.final_learning_rate
        return low + (self.learning_rate - low) * height


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """
    A whole run.

    :param model: the checkpoint to start from.
    :param streams: a JSON file of records, whose paths are relative to its folder; empty: tabletop
        streams. One record in ten is kept for validation.
    :param fresh: draw new weights for it by the seed, instead of reading them.
    :param phases: what is learned, in order.
    :param seed: of the streams and of new weights.
    :param learn_narration: narrated words are targets, too; see ``supervise_tabletop``.
    :param augment: change how each training stream looks and sounds; see ``augmentation``.
    :param precision: ``no`` or ``bf16``: products in bfloat16, weights in float32.
    :param store: number format of the weights of the trained network on disk.
    :param workers: processes that make streams; 0: the trainer itself.
    :param clip_norm: largest norm of the gradient.
    :param weight_decay: of AdamW, on matrices alone.
    :param validate_every: steps between validations; also at the end of each phase.
    :param validation_streams: streams of the validation split, the same each time.
    :param checkpoint_every: steps between checkpoints; also at the end of each phase.
    """

    model: str
    phases: tuple[Phase, ...]
    streams: str = ''
    fresh: bool = False
    seed: int = 0
    learn_narration: bool = True
    augment: bool = False
    precision: Literal['no', 'bf16'] = 'no'
    store: Literal['float32', 'float16', 'bfloat16'] = 'float32'
    workers: int = 1
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    validate_every: int = 500
    validation_streams: int = 64
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError('there is no phase: list at least one under phases')
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f'phases must have different names, got {", ".join(names)}')
        for field, allowed in (
            ('precision', ('no', 'bf16')),
            ('store', ('float32', 'float16', 'bfloat16')),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(
                    f'{field} is {getattr(self, field)!r}, expected one of {", ".join(allowed)}'
                )


def read_train_config(path: str | Path) -> TrainConfig:
    """
    Read a run's plan.

    :param path: a YAML file whose keys are the fields of :class:`TrainConfig`.
    :return: the plan.
    :raises ValueError: when a key is not known or missing, or a value is wrong.
    """
    return read_plan(path, TrainConfig, 'the run', parts={'phases': (Phase, 'a phase')})


def read_plan(
    path: str | Path, cls: type[_P], what: str, *, parts: Mapping[str, tuple[Any, str]]
) -> _P:
    """
    Read a dataclass from a YAML file.

    :param path: a file whose keys are its fields.
    :param cls: the dataclass.
    :param what: it is, in words.
    :param parts: by key, the dataclass of the items of a list, and what these are.
    :raises ValueError: when a key is not known or missing, or a value is wrong.
    """
    values = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    if not isinstance(values, dict):
        raise ValueError(f'expected keys and values, found {type(values).__name__}: {path}')
    try:
        for key, (part, name) in parts.items():
            values[key] = [make_from(part, v, name) for v in values.get(key) or ()]
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return make_from(cls, values | lists, what)
    except ValueError as error:
        raise ValueError(f'{error}: {path}') from error


def make_from(cls: type[_P], values: Mapping[str, Any], what: str) -> _P:
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f'{what} has no {", ".join(unknown)}; there are: {", ".join(sorted(known))}'
        )
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f'{what}: {error}') from error
