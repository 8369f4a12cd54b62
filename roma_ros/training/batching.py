"""
From a stream to one sample, laid out token by token as a session lays it out at run time.

One sequence a stream: system turn, instruction to narrate, then units, questions and answers. The
alerts watch beside the stream: nothing sees their text but an anchor of their own after each
unit, so that one encoded stream teaches many alerts at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from ..model.positions import text_positions, unit_positions
from ..model.processor import num_audio_tokens, num_video_tokens, UnitFeatures
from ..model.prompts import MAX_SEGMENT_TOKENS, Protocol
from ..policy.instructions import InstructionKind
from .supervision import Supervision, Turn


@dataclass(frozen=True, eq=False)
class Sample:
    """
    One stream as tokens and targets.

    :param features: of the units.
    :param token_ids: int64 ``[T]``; video and audio tokens are placeholders.
    :param position_ids: int64 ``[3, T]``.
    :param owner: int64 ``[T]``: 0 the stream's, else the number of the watch.
    :param stands_for: int64 ``[T]``: of a watch's anchor the index of the unit's own anchor, in
        whose place it stands; else -1.
    :param system_tokens: the first tokens, which a watch's text sees.
    :param lm_rows: int64 ``[N]``, tokens after which a word is learned.
    :param lm_targets: int64 ``[N]``, the words.
    :param lm_turns: for each learned turn its topic, and its first and last index in ``lm_rows``.
    :param speak_rows: int64 ``[M]``, the anchors that have a label.
    :param speak_labels: float32 ``[M]``, 1: speak.
    :param speak_names: whose each is: narrate, listen, or the sense of an alert.
    :param speak_units: int64 ``[M]``, the unit of each.
    :param speak_texts: the condition of each; empty: the stream's own.
    """

    features: tuple[UnitFeatures, ...]
    token_ids: npt.NDArray[np.int64]
    position_ids: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    stands_for: npt.NDArray[np.int64]
    system_tokens: int
    lm_rows: npt.NDArray[np.int64]
    lm_targets: npt.NDArray[np.int64]
    lm_turns: tuple[tuple[str, int, int], ...]
    speak_rows: npt.NDArray[np.int64]
    speak_labels: npt.NDArray[np.float32]
    speak_names: tuple[str, ...]
    speak_units: npt.NDArray[np.int64]
    speak_texts: tuple[str, ...]


@dataclass
class _Layout:
    """The sequence that grows."""

    protocol: Protocol
    features: Sequence[UnitFeatures]
    ids: list[int] = field(default_factory=list)
    positions: list[npt.NDArray[np.int64]] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    stands_for: list[int] = field(default_factory=list)
    next_position: int = 0
    lm: list[tuple[int, int]] = field(default_factory=list)
    lm_turns: list[tuple[str, int, int]] = field(default_factory=list)
    speak: list[tuple[int, bool, str, int, str]] = field(default_factory=list)

    def add(
        self,
        ids: Sequence[int],
        positions: npt.NDArray[np.int64],
        *,
        owner: int = 0,
        stands_for: int = -1,
    ) -> None:
        """Append tokens."""
        self.ids += ids
        self.positions.append(positions)
        self.owner += [owner] * len(ids)
        self.stands_for += [stands_for] * len(ids)

    def read_text(self, ids: Sequence[int]) -> None:
        """Append text of the stream."""
        positions, self.next_position = text_positions(len(ids), self.next_position)
        self.add(ids, positions)

    def read_watch(self, ids: Sequence[int], number: int, start: int) -> None:
        """Append a watch, as if it followed the system turn alone."""
        self.add(ids, text_positions(len(ids), start)[0], owner=number)

    def read_unit(self, features: UnitFeatures, num_watches: int) -> int:
        """Append a unit and the watches' anchors; return the index of its own anchor."""
        names = self.protocol.token_ids
        audio = 0 if features.mel is None else num_audio_tokens(features.mel.shape[1])
        video = num_video_tokens(features.grid_thw)
        begin = [names.vision_bos] * (video > 0) + [names.audio_bos] * (audio > 0)
        end = [names.audio_eos] * (audio > 0) + [names.vision_eos] * (video > 0)
        ids = [*begin, *[names.video] * video, *[names.audio] * audio, *end]
        positions, self.next_position = unit_positions(
            features.grid_thw, audio, self.next_position
        )
        self.add(ids, positions)
        anchor = len(self.ids) - 1
        for number in range(1, num_watches + 1):
            self.add(ids[-1:], positions[:, -1:], owner=number, stands_for=anchor)
        return anchor

    def say(self, segment: Sequence[int], *, finished: bool, learn: bool) -> None:
        """Append one segment of an utterance, and the turns around it."""
        protocol = self.protocol
        self.read_text(protocol.assistant_begin)
        first = len(self.ids) - 1
        # Where the cap ends a segment, the protocol says so, and not the network: no target.
        words = [*segment, *(protocol.utterance_end if finished else ())]
        if learn:
            self.lm += [(first + i, word) for i, word in enumerate(words)]
        end = protocol.utterance_end if finished else protocol.segment_unfinished
        self.read_text([*segment, *end, *protocol.user_begin])


def make_sample(
    features: Sequence[UnitFeatures], supervision: Supervision, protocol: Protocol
) -> Sample:
    """
    Lay a stream out.

    :param features: of each unit.
    :param supervision: what it teaches.
    :param protocol: token ids of the dialogue.
    :return: the sample.
    :raises ValueError: when the numbers of units differ, or a label is missing.
    """
    _check(features, supervision)
    layout = _Layout(protocol, features)
    layout.read_text(protocol.stream_begin)
    system_tokens = len(layout.ids)
    for number, watch in enumerate(supervision.watches, 1):
        ids = protocol.instruction(InstructionKind.ALERT, watch.text)
        layout.read_watch(ids, number, system_tokens)
    if supervision.narrate:
        layout.read_text(
            protocol.instruction(InstructionKind.NARRATION, supervision.narrate_focus)
        )
    turn: Turn | None = None
    left: list[int] = []  # of the utterance that goes on
    for unit, unit_features in enumerate(features):
        new = supervision.turns.get(unit)
        if new is not None and new.question:
            layout.read_text(protocol.instruction(InstructionKind.ANSWER, new.question))
        anchor = layout.read_unit(unit_features, len(supervision.watches))
        _label(layout, supervision, unit, anchor)
        if new is not None:
            # A new one discards the rest of the last (release: mm_plugin).
            turn, left = new, protocol.encode(new.text)
        if turn is None:
            continue
        segment, left = left[:MAX_SEGMENT_TOKENS], left[MAX_SEGMENT_TOKENS:]
        finished = len(segment) < MAX_SEGMENT_TOKENS
        first = len(layout.lm)
        layout.say(segment, finished=finished, learn=turn.learn)
        if turn.learn and len(layout.lm) > first:
            layout.lm_turns.append((turn.topic, first, len(layout.lm)))
        if finished:
            turn = None
    return Sample(
        features=tuple(features),
        token_ids=np.array(layout.ids, dtype=np.int64),
        position_ids=np.concatenate(layout.positions, axis=1),
        owner=np.array(layout.owner, dtype=np.int64),
        stands_for=np.array(layout.stands_for, dtype=np.int64),
        system_tokens=system_tokens,
        lm_rows=np.array([row for row, _ in layout.lm], dtype=np.int64),
        lm_targets=np.array([target for _, target in layout.lm], dtype=np.int64),
        lm_turns=tuple(layout.lm_turns),
        speak_rows=np.array([item[0] for item in layout.speak], dtype=np.int64),
        speak_labels=np.array([item[1] for item in layout.speak], dtype=np.float32),
        speak_names=tuple(item[2] for item in layout.speak),
        speak_units=np.array([item[3] for item in layout.speak], dtype=np.int64),
        speak_texts=tuple(item[4] for item in layout.speak),
    )


def _check(features: Sequence[UnitFeatures], supervision: Supervision) -> None:
    lengths = {len(features), supervision.num_units, len(supervision.labels)}
    lengths |= {len(watch.labels) for watch in supervision.watches}
    if len(lengths) > 1:
        raise ValueError(
            f'{len(features)} units, {supervision.num_units} stated, {len(supervision.labels)} '
            f'labels, and {[len(w.labels) for w in supervision.watches]} of the alerts; '
            'each unit needs one'
        )


def _label(layout: _Layout, supervision: Supervision, unit: int, anchor: int) -> None:
    label = supervision.labels[unit]
    if label is not None:
        layout.speak.append((anchor, label, supervision.name, unit, ''))
    for number, watch in enumerate(supervision.watches, 1):
        label = watch.labels[unit]
        if label is not None:
            layout.speak.append((anchor + number, label, watch.sense, unit, watch.text))


@dataclass(frozen=True, eq=False)
class Batch:
    """
    Samples in rows of one length; what is called rows counts through all, ``row * T + token``.

    :param token_ids: ``[B, T]``.
    :param position_ids: ``[3, B, T]``.
    :param mask: bool ``[B, 1, T, T]``, true where a token may look.
    :param pixel_values: float32 ``[patches, P]`` of all units that have frames, one after
        another; None: none has.
    :param grid_thw: int64 ``[units, 3]`` of the same.
    :param mel: float32 ``[bands, frames]`` of all units that have sound; None: none has.
    :param mel_lengths: int64 ``[units]`` of the same.
    :param video_rows: where the video tokens stand.
    :param audio_rows: where the audio tokens stand.
    :param lm_rows: ``[N]``.
    :param lm_targets: ``[N]``.
    :param lm_turns: topic, first and last index in ``lm_rows``, of each learned turn.
    :param speak_rows: ``[M]``.
    :param speak_labels: float32 ``[M]``.
    :param speak_names: of each label.
    :param speak_units: ``[M]``, index among all units of the batch.
    :param speak_texts: the condition of each label; empty: the stream's own.
    """

    token_ids: torch.Tensor
    position_ids: torch.Tensor
    mask: torch.Tensor
    pixel_values: torch.Tensor | None
    grid_thw: torch.Tensor | None
    mel: torch.Tensor | None
    mel_lengths: torch.Tensor | None
    video_rows: torch.Tensor
    audio_rows: torch.Tensor
    lm_rows: torch.Tensor
    lm_targets: torch.Tensor
    lm_turns: tuple[tuple[str, int, int], ...]
    speak_rows: torch.Tensor
    speak_labels: torch.Tensor
    speak_names: tuple[str, ...]
    speak_units: torch.Tensor
    speak_texts: tuple[str, ...]


def collate(samples: Sequence[Sample], protocol: Protocol) -> Batch:
    """
    Put samples together in rows as long as the longest; short ones share a row, kept apart.

    :param samples: one or more.
    :param protocol: token ids of the placeholders.
    :return: the batch; all that it lists stands in the order of the samples.
    """
    places = pack([len(sample.token_ids) for sample in samples])
    length = max(len(sample.token_ids) for sample in samples)
    count = 1 + max(row for row, _ in places)
    ids = np.full((count, length), protocol.token_ids.endoftext, dtype=np.int64)
    positions = np.zeros((3, count, length), dtype=np.int64)
    mask = np.broadcast_to(np.eye(length, dtype=np.bool_), (count, length, length)).copy()
    lm_turns: list[tuple[str, int, int]] = []
    num_targets = 0
    for sample, (row, start) in zip(samples, places, strict=True):
        part = slice(start, start + len(sample.token_ids))
        ids[row, part] = sample.token_ids
        positions[:, row, part] = sample.position_ids
        mask[row, part, part] = _mask(sample)
        lm_turns += [(t, a + num_targets, b + num_targets) for t, a, b in sample.lm_turns]
        num_targets += len(sample.lm_rows)
    units = [features for sample in samples for features in sample.features]
    firsts = np.cumsum([0, *(len(sample.features) for sample in samples[:-1])])
    pixels = [f.pixel_values for f in units if f.pixel_values is not None]
    mels = [f.mel for f in units if f.mel is not None]

    def rows_of(rows: Sequence[npt.NDArray[np.int64]]) -> torch.Tensor:
        """Return where rows of the samples are in the flat batch."""
        begins = [row * length + start for row, start in places]
        moved = [begin + own for begin, own in zip(begins, rows, strict=True)]
        return torch.from_numpy(np.concatenate(moved))

    def rows_with(token: int) -> torch.Tensor:
        return rows_of([np.flatnonzero(sample.token_ids == token) for sample in samples])

    return Batch(
        token_ids=torch.from_numpy(ids),
        position_ids=torch.from_numpy(positions),
        mask=torch.from_numpy(mask[:, None]),
        pixel_values=torch.from_numpy(np.concatenate(pixels)) if pixels else None,
        grid_thw=torch.tensor([f.grid_thw for f in units if f.grid_thw]) if pixels else None,
        mel=torch.from_numpy(np.concatenate(mels, axis=1)) if mels else None,
        mel_lengths=torch.tensor([mel.shape[1] for mel in mels]) if mels else None,
        video_rows=rows_with(protocol.token_ids.video),
        audio_rows=rows_with(protocol.token_ids.audio),
        lm_rows=rows_of([sample.lm_rows for sample in samples]),
        lm_targets=torch.from_numpy(np.concatenate([s.lm_targets for s in samples])),
        lm_turns=tuple(lm_turns),
        speak_rows=rows_of([sample.speak_rows for sample in samples]),
        speak_labels=torch.from_numpy(np.concatenate([s.speak_labels for s in samples])),
        speak_names=tuple(name for sample in samples for name in sample.speak_names),
        speak_units=torch.from_numpy(
            np.concatenate([s.speak_units + n for s, n in zip(samples, firsts, strict=True)])
        ),
        speak_texts=tuple(text for sample in samples for text in sample.speak_texts),
    )


def mishear(batch: Batch, share: float, *, seed: int) -> Batch:
    """
    Let some of the words that were said before be others, drawn from all words of the batch.

    What is said next then follows from what is seen and heard, and not from the last word alone:
    after "the blue" comes no "cone" where no lesson shows a blue cone (unigram noising, Xie et
    al. 2017, arXiv 1703.02573).

    :param batch: as collated.
    :param share: of the words, 0..1.
    :param seed: of the batch: all chance.
    :return: the batch with other inputs; its targets stay.
    """
    # Where a learned word is read again, to learn the next one.
    again = [row for _, first, last in batch.lm_turns for row in range(first + 1, last)]
    if not (share and again):
        return batch
    rng = np.random.default_rng([seed, 2])
    rows = batch.lm_rows[again]
    token_ids = batch.token_ids.clone()
    words = token_ids.view(-1)[rows]
    others = words[torch.from_numpy(rng.integers(len(words), size=len(words)))]
    is_other = torch.from_numpy(rng.random(len(words)) < share)
    token_ids.view(-1)[rows] = torch.where(is_other, others, words)
    return replace(batch, token_ids=token_ids)


def pack(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """
    Find places in rows as long as the longest: each, longest first, where least is left over.

    :param lengths: of what is to be placed.
    :return: row and first token of each.
    """
    free: list[int] = []
    places = [(0, 0)] * len(lengths)
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fits = [row for row, left in enumerate(free) if left >= lengths[index]]
        if not fits:
            fits = [len(free)]
            free.append(max(lengths))
        row = min(fits, key=lambda row: free[row])
        places[index] = (row, max(lengths) - free[row])
        free[row] -= lengths[index]
    return places


def _mask(sample: Sample) -> npt.NDArray[np.bool_]:
    """
    Say which token may see which: bool ``[T, T]``.

    The stream sees the stream; a watch's text sees the system turn and itself; its anchors see
    the stream but for the anchor in whose place they stand, its text, and themselves alone.
    """
    index = np.arange(len(sample.owner))
    causal = index[:, None] >= index
    row, column = sample.owner[:, None], sample.owner
    is_anchor = sample.stands_for >= 0
    of_system = index < sample.system_tokens
    of_stream = (column == 0) & ((row == 0) | is_anchor[:, None] | of_system)
    of_watch = (column == row) & (row > 0) & ~is_anchor
    replaced = index == sample.stands_for[:, None]
    mask: npt.NDArray[np.bool_] = causal & (of_stream | of_watch) & ~replaced
    return mask | (index[:, None] == index)
