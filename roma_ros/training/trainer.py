"""The training loop: phases, steps, validation, checkpoints; on one machine or many."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
import json
import logging
from pathlib import Path
import time
from typing import Any, cast, TypeVar

from accelerate import Accelerator
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    gather_object,
    set_seed,
)
import torch
from torch.utils.tensorboard import SummaryWriter

from ..model.checkpoint import load_roma, LoadedRoma, save_roma
from ..model.prompts import Protocol
from ..model.store import find_checkpoint
from .adapters import add_adapters, merge_adapters
from .attention import fast_attention
from .checkpoints import (
    last_checkpoint,
    load_optimizer,
    load_weights,
    Progress,
    read_progress,
    save_checkpoint,
)
from .curriculum import Phase, TrainConfig
from .data import (
    is_held_out,
    make_loader,
    MakeBatch,
    RecordMaker,
    StreamMaker,
    TrainingBatch,
)
from .encoded import encode_streams, EncodedMaker, EncodedStream, encodes_alike
from .initial import draw_weights
from .learning_curves import draw_learning_curves
from .objective import Objective, trained_parameters
from .sharding import gather
from .spoken import encode_sentences, SpokenSentence
from .streams import read_streams
from .tabletop.generator import SHORTEST_S
from .tabletop.labels import Split
from .validation import validate

_LOG = logging.getLogger(__name__)
_T = TypeVar('_T')
#: Seeds of one phase's streams begin this far from the next one's.
_PHASE_SEEDS = 10_000_000
#: Streams of a validation batch.
_VALIDATION_BATCH = 8
#: AdamW's second decay: 0.999 forgets too slowly for runs of a few thousand steps.
_BETAS = (0.9, 0.98)


class Trainer:
    """
    Runs a plan.

    :param config: the plan.
    :param folder: of the run: checkpoints, curves, ``log.jsonl`` and, at the end, ``model``.
    :param report: takes one line of progress.
    :param maker: makes the batches of a phase and a split, where others than the plan's are
        wanted.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        *,
        report: Callable[[str], None] = _LOG.info,
        maker: Callable[[Phase, Split], MakeBatch] | None = None,
    ) -> None:
        self.config = config
        self.folder = folder
        self._report = report
        self._maker = maker or self._make_maker
        self._accelerator = Accelerator(
            mixed_precision=config.precision,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        set_seed(config.seed)
        self._loaded: LoadedRoma = load_roma(find_checkpoint(config.model), init_speak_head=True)
        if config.fresh:
            draw_weights(self._loaded.model, seed=config.seed)
        self._protocol = Protocol(self._loaded.tokenizer)
        self._is_sharded = self._accelerator.distributed_type == DistributedType.FSDP
        if self._is_sharded:
            check_sharded(config)
        self._records = read_streams(config.streams) if config.streams else []
        self.objective = Objective(self._loaded.model).to(self._accelerator.device)
        self._encoded: tuple[Phase, list[EncodedStream], list[SpokenSentence]] | None = None
        self._total_steps = self._streams = 0
        self._writer: SummaryWriter | None = None

    def run(self, *, resume: bool = False) -> Path:
        """
        Train from the begin, or from the last checkpoint.

        :param resume: go on where the folder's last checkpoint is.
        :return: the folder of the trained network.
        :raises ValueError: when there are checkpoints and ``resume`` is not set.
        """
        checkpoint = last_checkpoint(self.folder)
        if checkpoint is not None and not resume:
            raise ValueError(
                f'there is {checkpoint.name} already: go on with --resume, or name another '
                f'folder: {self.folder}'
            )
        progress = read_progress(checkpoint) if checkpoint is not None else None
        names = [phase.name for phase in self.config.phases]
        first = 0
        if checkpoint is not None and progress is not None:
            load_weights(checkpoint, self.objective)
            first = names.index(progress.phase)
            self._total_steps, self._streams = progress.total_steps, progress.streams
        if self._accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(self.folder / 'curves'))
        for index, phase in enumerate(self.config.phases[first:], first):
            start = progress.step if progress is not None and index == first else 0
            if start < phase.steps:
                self._run_phase(index, phase, start, checkpoint if start else None)
        return self._finish()

    def _run_phase(self, index: int, phase: Phase, start: int, checkpoint: Path | None) -> None:
        accelerator, config = self._accelerator, self.config
        if phase.train == 'all':
            self._encoded = None  # by towers that learn now
        if phase.train == 'adapters':
            add_adapters(self.objective.model, phase.adapter_rank)
        # First what learns is chosen; in parts, it is other parameters that do.
        trained_parameters(self.objective, phase)
        model = self._prepare()
        trained = trained_parameters(self.objective, phase)
        optimizer = torch.optim.AdamW(
            [
                {'params': [p], 'weight_decay': config.weight_decay if p.ndim > 1 else 0.0}
                for p in trained.values()
            ],
            lr=phase.learning_rate,
            betas=_BETAS,
        )
        if checkpoint is not None:
            load_optimizer(checkpoint, optimizer, trained)
        batches_left = self._batches(index, phase, start)
        step, begin, seen = start, time.monotonic(), 0
        for _ in range(start, phase.steps):
            batches = [next(batches_left) for _ in range(phase.accumulate)]
            rate = phase.rate_at(step)
            for group in optimizer.param_groups:
                group['lr'] = rate
            optimizer.zero_grad(set_to_none=True)
            losses: dict[str, float] = {}
            for number, batch in enumerate(batches, 1):
                last = number == len(batches)
                # Checkpointed layers run a second time, on the way back.
                with (
                    fast_attention(self.objective.model),
                    _no_sync(accelerator, model, unless=last),
                ):
                    outcome = model(batch, phase)
                    accelerator.backward(outcome.loss / len(batches))
                for name, value in outcome.losses.items():
                    losses[name] = losses.get(name, 0.0) + float(value.detach()) / len(batches)
            norm = accelerator.clip_grad_norm_(list(trained.values()), config.clip_norm)
            optimizer.step()
            step += 1
            self._total_steps += 1
            seen += phase.streams * phase.accumulate * accelerator.num_processes
            self._streams += phase.streams * phase.accumulate * accelerator.num_processes
            if step % 10 == 0 or step == phase.steps:
                per_s = seen / (time.monotonic() - begin)
                left_s = (phase.steps - step) / max(1, step - start) * (time.monotonic() - begin)
                self._log({f'train/{n}': v for n, v in losses.items()} | {'train/rate': rate})
                self._report(
                    f'{phase.name} {step}/{phase.steps} '
                    + ' '.join(f'{n} {v:.3f}' for n, v in losses.items())
                    + f' norm {float(norm):.2f}, {per_s:.2f} streams/s, {left_s / 60:.0f} min left'
                )
            if step % config.validate_every == 0 or step == phase.steps:
                self._validate(phase, step)
            if step == phase.steps and phase.train == 'adapters':
                merge_adapters(self.objective.model)
            if step % config.checkpoint_every == 0 or step == phase.steps:
                self._save(phase, step, optimizer, trained)
        if accelerator.is_main_process:
            draw_learning_curves(self.folder)

    def _prepare(self) -> torch.nn.Module:
        """Lay the network out over the processes."""
        if not self._is_sharded:
            return cast('torch.nn.Module', self._accelerator.prepare(self.objective))
        # accelerate wants an optimizer beside it. Ours is made of the parameters that this makes.
        optimizer = torch.optim.SGD(self.objective.parameters(), lr=0.0)
        model, _ = self._accelerator.prepare(self.objective, optimizer)
        return cast('torch.nn.Module', model)

    def _batches(self, index: int, phase: Phase, start: int) -> Iterator[TrainingBatch]:
        """Return the batches that are left of a phase, whose streams are encoded now."""
        loader = make_loader(
            self._maker(phase, 'train'),
            phase,
            seed=self.config.seed + index * _PHASE_SEEDS,
            start=start,
            rank=self._accelerator.process_index,
            world=self._accelerator.num_processes,
            workers=self.config.workers,
        )
        return iter(loader)

    def _make_maker(self, phase: Phase, split: Split) -> MakeBatch:
        config, processor = self.config, self._loaded.processor
        if config.streams:
            return RecordMaker(
                [r for r in self._records if is_held_out(r) == (split == 'validation')],
                Path(config.streams).parent,
                processor,
                self._protocol,
                objective=phase.objective,
                duration_s=phase.duration_s,
                learn_narration=config.learn_narration,
            )
        if phase.encoded and split == 'train':
            streams, sentences = self._encode(phase)
            return EncodedMaker(
                streams,
                self._protocol,
                phase,
                sentences=sentences,
                learn_narration=config.learn_narration,
            )
        return StreamMaker(
            processor,
            self._protocol,
            split=split,
            objective=phase.objective,
            # Parts of streams are learned from, and whole ones are judged.
            duration_s=max(SHORTEST_S, phase.duration_s) if split != 'train' else phase.duration_s,
            learn_narration=config.learn_narration,
            augment=config.augment and split == 'train',
            cards=phase.cards if split == 'train' else 0.0,
            drill=phase.drill and split == 'train',
            word_noise=phase.word_noise if split == 'train' else 0.0,
        )

    def _encode(self, phase: Phase) -> tuple[list[EncodedStream], list[SpokenSentence]]:
        """
        Encode the streams and sentences of a phase, unless the phase before has left the same.

        Each process encodes its share; then all of them have all.
        """
        if self._encoded is not None and encodes_alike(self._encoded[0], phase):
            return self._encoded[1:]
        self._encoded = None  # two sets of streams would take the memory of both
        how = {
            'seed': self.config.seed,
            'changed': self.config.augment,
            'report': self._report,
            'rank': self._accelerator.process_index,
            'world': self._accelerator.num_processes,
        }
        what = self.objective.model, self._loaded.processor, self._protocol, phase
        sentences = self._shared(encode_sentences(*what, **how), lambda item: item.number)
        streams = self._shared(encode_streams(*what, **how), lambda item: item.truth.seed)
        self._encoded = (phase, streams, sentences)
        return streams, sentences

    def _shared(self, own: list[_T], order: Callable[[_T], int]) -> list[_T]:
        """Return what all processes have made, in order."""
        if self._accelerator.num_processes == 1:
            return own
        return sorted(gather_object(own), key=order)

    def _validate(self, phase: Phase, step: int) -> None:
        # In parts, it takes all processes to run the network.
        if not (self._accelerator.is_main_process or self._is_sharded):
            return
        count = self.config.validation_streams
        if self.config.streams:
            count = min(count, sum(map(is_held_out, self._records)))
            if not count:
                self._report('no record is kept for validation: there are too few')
                return
        make = self._maker(phase, 'validation')
        firsts = range(0, count, _VALIDATION_BATCH)
        seeds = [range(i, min(i + _VALIDATION_BATCH, count)) for i in firsts]
        self.objective.eval()
        with self._accelerator.autocast():
            values = validate(self.objective, map(make, seeds), phase)
        self.objective.train()
        self._log({f'validation/{name}': value for name, value in values.items()})
        self._report(
            f'{phase.name} {step} validation: '
            + ' '.join(f'{name} {value:.3f}' for name, value in values.items())
        )

    def _log(self, values: dict[str, float]) -> None:
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, self._total_steps)
        with (self.folder / 'log.jsonl').open('a', encoding='utf-8') as log:
            log.write(json.dumps({'step': self._total_steps, **values}) + '\n')

    def _save(
        self,
        phase: Phase,
        step: int,
        optimizer: torch.optim.Optimizer,
        trained: dict[str, torch.nn.Parameter],
    ) -> None:
        self._accelerator.wait_for_everyone()
        save_checkpoint(
            self.folder,
            Progress(phase.name, step, self._total_steps, self._streams),
            objective=self.objective,
            optimizer=optimizer,
            names=trained,
            tokenizer=self._loaded.tokenizer,
            write=self._accelerator.is_main_process,
        )

    def _finish(self) -> Path:
        target = self.folder / 'model'
        model, store = self.objective.model, getattr(torch, self.config.store)
        weights = gather(model.state_dict(), keep=self._accelerator.is_main_process)
        if self._accelerator.is_main_process:
            stored = {name: weight.to(store) for name, weight in weights.items()}
            save_roma(model, target, tokenizer=self._loaded.tokenizer, weights=stored)
            assert self._writer is not None
            self._writer.close()
        self._accelerator.wait_for_everyone()
        return target


def check_sharded(config: TrainConfig) -> None:
    """
    Make sure that a plan can be run with the network in parts.

    :raises ValueError: when it cannot.
    """
    for phase in config.phases:
        if phase.train == 'adapters' or phase.encoded:
            raise ValueError(
                f'phase {phase.name!r} trains adapters, or encodes its streams once, which a '
                'network in parts (FSDP) cannot: such phases fit on each GPU, launch without FSDP'
            )


def _no_sync(accelerator: Accelerator, model: torch.nn.Module, *, unless: bool) -> Any:
    """Leave the exchange of gradients to a step's last batch."""
    return nullcontext() if unless else accelerator.no_sync(model)
