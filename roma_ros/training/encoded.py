"""
Tabletop streams that are made and encoded once, and learned from again and again.

Where the towers stay as they are, to make and encode a stream takes as long as the decoder's
lesson. What is asked of a stream is drawn anew each time, and short parts of it are lessons of
their own, so that one stream teaches many.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..model.processor import UnitFeatures, UnitProcessor
from ..model.prompts import Protocol
from ..model.thinker import RomaModel
from .augmentation import augment
from .batching import collate, make_sample, mishear
from .cards import is_deck, make_cards
from .curriculum import Phase
from .data import place_in_round, TrainingBatch, without_alerts
from .drills import drill
from .forward import encode_audio, encode_video
from .spoken import Aloud, make_share, SpokenSentence
from .supervision import FRAME_OFFSETS_S, supervise_tabletop, Supervision
from .tabletop.generator import make_stream, SHORTEST_S
from .tabletop.labels import TabletopStream
from .towers import tower_targets, TowerTargets


@dataclass(frozen=True, eq=False)
class EncodedStream:
    """
    A stream as the towers gave it.

    :param truth: its labels; it has no frames and no sound any more.
    :param video: float16 ``[units, tokens, C]``.
    :param audio: float16 ``[units, tokens, C]``.
    :param towers: exact labels of the tokens.
    :param unit: shapes of a unit's features, for the layout.
    """

    truth: TabletopStream
    video: torch.Tensor
    audio: torch.Tensor
    towers: TowerTargets
    unit: UnitFeatures


def encode_streams(
    model: RomaModel,
    processor: UnitProcessor,
    protocol: Protocol,
    phase: Phase,
    *,
    seed: int,
    changed: bool,
    report: Callable[[str], None],
    rank: int = 0,
    world: int = 1,
) -> list[EncodedStream]:
    """
    Make and encode the streams of a phase, or every n-th of them.

    :param model: whose towers encode.
    :param processor: units to features.
    :param protocol: token ids of the dialogue.
    :param phase: how many, how long, and how many of them are decks of cards.
    :param seed: of the first.
    :param changed: change how each looks and sounds; see ``augmentation``.
    :param report: takes one line of progress.
    :param rank: of this process, which begins with the stream of that number.
    :param world: processes; each makes every ``world``-th stream.
    :return: the streams.
    """

    def make(number: int) -> EncodedStream:
        draw = make_cards if is_deck(number, phase.cards) else make_stream
        stream = draw(seed + number, split='train', duration_s=max(SHORTEST_S, phase.duration_s))
        features = [processor(stream.unit(i)) for i in range(stream.duration_s)]
        if changed:
            features = augment(features, np.random.default_rng(seed + number))
        return _encode(model, protocol, stream, features)

    what = f'{phase.name}: streams encoded'
    return make_share(make, phase.encoded, what, every=50, report=report, rank=rank, world=world)


def encodes_alike(one: Phase, other: Phase) -> bool:
    """Return whether two phases of a run learn from the same encoded streams and sentences."""
    first, second = (
        (phase.encoded, phase.cards, phase.spoken, max(SHORTEST_S, phase.duration_s))
        for phase in (one, other)
    )
    return first == second


class EncodedMaker:
    """
    Makes batches of encoded streams, in an order of its own in each round.

    :param streams: which.
    :param protocol: token ids of the dialogue.
    :param phase: what they are for; where it is shorter than the streams, parts of them are read,
        with nothing but drawn conditions and questions.
    :param sentences: in which drilled questions and alerts are said aloud.
    :param learn_narration: see ``supervise_tabletop``.
    """

    def __init__(
        self,
        streams: Sequence[EncodedStream],
        protocol: Protocol,
        phase: Phase,
        *,
        sentences: Sequence[SpokenSentence] = (),
        learn_narration: bool,
    ) -> None:
        self._streams = streams
        self._aloud = Aloud(sentences)
        self._protocol = protocol
        self._phase = phase
        self._learn_narration = learn_narration

    def __call__(self, seeds: Sequence[int]) -> TrainingBatch:
        """Put the streams together whose turn it is."""
        phase = self._phase
        samples, towers, videos, audios = [], [], [], []
        for seed in seeds:
            stream = self._streams[place_in_round(seed, len(self._streams))]
            rng = np.random.default_rng([seed, 1])
            truth, first = stream.truth, 0
            if phase.duration_s < truth.duration_s:
                first = int(rng.integers(truth.duration_s - phase.duration_s + 1))
                truth = part_of(truth, first, phase.duration_s)
                supervision = Supervision(phase.duration_s, labels=(None,) * phase.duration_s)
            else:
                supervision = supervise_tabletop(truth, learn_narration=self._learn_narration)
            said: Mapping[int, torch.Tensor] = {}
            if phase.drill:
                supervision = drill(truth, supervision, rng)
                supervision, said = self._aloud(truth, supervision, rng)
            if phase.objective == 'answers':
                supervision = without_alerts(supervision)
            units = slice(first, first + truth.duration_s)
            samples.append(
                make_sample([stream.unit] * truth.duration_s, supervision, self._protocol)
            )
            towers.append(stream.towers[units])
            videos.append(stream.video[units].flatten(0, 1))
            heard = stream.audio[units].clone()
            for unit, tokens in said.items():
                heard[unit] = tokens
            audios.append(heard.flatten(0, 1))
        return TrainingBatch(
            mishear(collate(samples, self._protocol), phase.word_noise, seed=seeds[0]),
            TowerTargets.join(towers),
            video=torch.cat(videos).float(),
            audio=torch.cat(audios).float(),
        )


def part_of(truth: TabletopStream, first: int, duration_s: int) -> TabletopStream:
    """
    Cut a part out of what is true of a stream; alerts, questions and narration stay behind.

    :param truth: of the stream.
    :param first: unit that becomes the first.
    :param duration_s: of the part.
    :return: what is seen and heard in it, in its own time.
    """
    return replace(
        truth,
        duration_s=duration_s,
        objects_at=lambda t: truth.objects_at(first + t),
        events=tuple(
            replace(event, time_s=event.time_s - first)
            for event in truth.events
            if first < event.time_s < first + duration_s
        ),
        sounds=tuple(
            replace(sound, start_s=sound.start_s - first, end_s=sound.end_s - first)
            for sound in truth.sounds
            if sound.end_s > first and sound.start_s < first + duration_s
        ),
        speech=(),
        alerts=(),
        questions=(),
        narrate=False,
    )


@torch.no_grad()
def encode_units(
    model: RomaModel, protocol: Protocol, features: Sequence[UnitFeatures]
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Let the towers encode the units of a stream.

    :param model: whose towers.
    :param protocol: token ids of the dialogue.
    :param features: of each unit.
    :return: video and audio tokens, float16 ``[units, tokens, C]``.
    """
    count = len(features)
    nothing = Supervision(count, labels=(None,) * count)
    batch = collate([make_sample(features, nothing, protocol)], protocol)
    video, audio = (
        tokens.unflatten(0, (count, -1)).half()
        for tokens in (encode_video(model, batch), encode_audio(model, batch))
    )
    return video, audio


def layout_unit(grid_thw: tuple[int, int, int] | None, mel_shape: tuple[int, ...]) -> UnitFeatures:
    """Return features of these shapes; the layout asks for no more, and no memory is behind it."""
    return UnitFeatures(None, grid_thw, np.broadcast_to(np.float32(0), mel_shape))


def _encode(
    model: RomaModel, protocol: Protocol, stream: TabletopStream, features: list[UnitFeatures]
) -> EncodedStream:
    video, audio = encode_units(model, protocol, features)
    grid, mel = features[0].grid_thw, features[0].mel
    assert grid is not None
    assert mel is not None
    times_s = [i + offset for i in range(stream.duration_s) for offset in FRAME_OFFSETS_S]
    seen = {time_s: stream.objects_at(time_s) for time_s in times_s}
    return EncodedStream(
        replace(
            stream,
            frame_at=_no_frame,
            objects_at=seen.__getitem__,
            audio=np.zeros(0, dtype=np.float32),
        ),
        video,
        audio,
        tower_targets(stream, (grid[1] // 2, grid[2] // 2)),
        layout_unit(grid, mel.shape),
    )


def _no_frame(time_s: float) -> np.ndarray:
    raise ValueError(f'an encoded stream keeps no frames; none is left of {time_s} s')
