"""LM-PPL, TimeDiff and Fluency of VideoLLM-online: teacher-forced, turn by turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False, kw_only=True)
class Turn:
    """
    What the model makes of one turn: frames, then a reply, all earlier turns being the truth.

    :param token_log_probs: natural logarithm of the probability of each true token of the reply.
    :param token_right: whether each of these is the most probable token.
    :param speaks: for each frame with a stream label whether the model would speak; it is right
        to speak at the last one and to be silent before.
    :param speaks_after: the same for the frames of the next turn, as if there were no reply; empty
        for the last turn.
    :param num_frames: all frames of the turn; None: those with a label.
    """

    token_log_probs: npt.ArrayLike
    token_right: npt.ArrayLike
    speaks: npt.ArrayLike
    speaks_after: npt.ArrayLike = ()
    num_frames: int | None = None


@dataclass(frozen=True)
class TurnScore:
    """
    Means over turns, or over streams.

    :param lm_ppl: perplexity of the true reply; 1 without a reply.
    :param time_diff_s: distance of the first wish to speak from the true moment.
    :param fluency: share of frames and words before the first mistake, 0..1.
    :param lm_correctness: share of words before the first wrong one, 0..1.
    """

    lm_ppl: float
    time_diff_s: float
    fluency: float
    lm_correctness: float


def stream_score(turns: Sequence[Turn], *, fps: float) -> TurnScore:
    """
    Judge one stream.

    Source: ``LiveMixin.stream_evaluate`` in ``models/modeling_live.py`` and ``compute_metrics`` in
    ``data/ego4d/narration.py`` of github.com/showlab/videollm-online (Chen et al., CVPR 2024).
    LM-PPL: for each turn the exponential of the mean cross-entropy, then the mean of turns.
    TimeDiff: frames from the first wish to speak to the last labelled frame, where it was due; a
    model that does not wish to is shown the next turn's frames, at most ``num_frames`` - 1 of
    them, and is late by as many as it takes (all of them if it never does). Fluency: in time,
    frames and words before the first wrong word; early, frames before the wish; late, all frames
    but one; over all labelled frames and words.

    Traps: being late is capped, so never to speak has a TimeDiff of about the turn's length, and
    in the last turn it has 0, the best there is; the mean of perplexities is ruled by the worst
    turns; everything is teacher-forced: no error ever reaches the next turn.

    :param turns: in order; those without labels are left out by the caller.
    :param fps: frames a second.
    :raises ValueError: when a log probability is positive or not finite, or lengths differ.
    """
    if not fps > 0:
        raise ValueError(f'fps is {fps}, expected more than 0')
    perplexities, differences, fluencies, correctness = [], [], [], []
    for turn in turns:
        logs = np.asarray(turn.token_log_probs, np.float64)
        right = np.asarray(turn.token_right, bool)
        speaks = np.asarray(turn.speaks, bool)
        if logs.shape != right.shape or not np.isfinite(logs).all() or (logs > 1e-6).any():
            raise ValueError(
                f'a turn has {logs.size} log probabilities for {right.size} tokens; expected as '
                'many, finite, at most 0'
            )
        num_right = int(np.argmin(right)) if not right.all() else right.size
        if logs.size:
            perplexities.append(float(np.exp(-logs.mean())))
            correctness.append(num_right / logs.size)
        if not speaks.size:
            continue
        difference = _frame_difference(turn, speaks)
        differences.append(abs(difference))
        if not logs.size:
            continue
        if difference == 0:
            good = speaks.size + num_right
        else:
            good = speaks.size - (difference if difference > 0 else 1)
        fluencies.append(good / (speaks.size + logs.size))
    return TurnScore(
        lm_ppl=_mean(perplexities, 1.0),
        time_diff_s=_mean(differences, 0.0) / fps,
        fluency=_mean(fluencies, 1.0),
        lm_correctness=_mean(correctness, 1.0),
    )


def mean_score(streams: Sequence[TurnScore]) -> TurnScore:
    """
    Average over streams, each as much as any other, as the source does.

    :raises ValueError: without streams.
    """
    if not streams:
        raise ValueError('there are no streams to average')
    return TurnScore(
        *(
            float(np.mean([getattr(stream, name) for stream in streams]))
            for name in TurnScore.__dataclass_fields__
        )
    )


def _frame_difference(turn: Turn, speaks: npt.NDArray[np.bool_]) -> int:
    """Return frames too early (positive) or too late (negative)."""
    if speaks.any():
        return int(speaks.size - 1 - np.argmax(speaks))
    num_frames = speaks.size if turn.num_frames is None else turn.num_frames
    after = np.asarray(turn.speaks_after, bool)[: max(0, num_frames - 1)]
    return -int(np.argmax(after) + 1 if after.any() else after.size)


def _mean(values: Sequence[float], default: float) -> float:
    return float(np.mean(values)) if values else default
