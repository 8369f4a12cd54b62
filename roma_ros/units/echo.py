"""Subtracting from what a microphone hears what a loudspeaker plays, by a filter that learns."""

import numpy as np
import numpy.typing as npt

from .unit import SAMPLE_RATE_HZ

#: Samples that are worked on at once; a second holds whole blocks.
BLOCK = 320
#: How long after a sound is played its echo is looked for [s]: device, room and stamps together.
TAIL_S = 0.4

_NUM_PARTS = round(TAIL_S * SAMPLE_RATE_HZ / BLOCK)
#: Power of a block from which the loudspeaker plays.
_PLAYS = 1e-7
_STEP = 0.5
#: Share of the past in averages: about 0.1 s, and 0.5 s for the power of the reference.
_KEEP, _KEEP_POWER = 0.8, 0.96
#: The learner is trusted from 1 dB better than what is used, and called back from 3 dB worse.
_BETTER, _WORSE = 0.8, 2.0
#: Share of the echo's power that may be left where the filter counts as learnt: -10 dB.
_LEARNT = 0.1

_Samples = npt.NDArray[np.float32]


class EchoCanceller:
    """
    Subtracts the echo of a reference; until it can, it makes silence of what may be echo.

    Two filters in blocks of the frequency domain (partitioned NLMS): one learns all the time, and
    one is used. What was learnt is taken over when it leaves less than what is used; so somebody
    who speaks while the loudspeaker plays spoils the learner for a moment, and not the result.
    """

    def __init__(self) -> None:
        shape = (_NUM_PARTS, BLOCK + 1)
        self._spectra = np.zeros(shape, np.complex128)  # of the newest blocks, the newest first
        self._used, self._learner = np.zeros(shape, np.complex128), np.zeros(shape, np.complex128)
        self._last = np.zeros(BLOCK)  # the last block of the reference
        self._power = np.zeros(BLOCK + 1)
        self._heard = self._left = self._left_by_learner = 0.0  # average powers
        self._blocks_since_sound = _NUM_PARTS
        self.is_learnt = False  #: the echo is subtracted, and not silenced

    def subtract(self, heard: _Samples, played: _Samples) -> _Samples:
        """
        Return what is heard without the echo of what is played.

        :param heard: float32 ``[n]`` at 16 kHz, n a multiple of ``BLOCK``.
        :param played: float32 ``[n]``, of the same time; zeros where nothing is played.
        :raises ValueError: when the lengths differ or hold no whole blocks.
        """
        if len(heard) != len(played) or len(heard) % BLOCK:
            raise ValueError(
                f'got {len(heard)} samples heard and {len(played)} played; expected as many of '
                f'both, and a multiple of {BLOCK}'
            )
        result = np.empty_like(heard)
        for begin in range(0, len(heard), BLOCK):
            block = slice(begin, begin + BLOCK)
            result[block] = self._subtract(heard[block].astype(float), played[block].astype(float))
        return result

    def _subtract(
        self, heard: npt.NDArray[np.float64], played: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        self._blocks_since_sound += 1
        if float(np.mean(played**2)) > _PLAYS:
            self._blocks_since_sound = 0
        self._spectra = np.roll(self._spectra, 1, axis=0)
        self._spectra[0] = np.fft.rfft(np.concatenate([self._last, played]))
        self._last = played
        if self._blocks_since_sound >= _NUM_PARTS:
            return heard  # nothing that was played can be heard any more
        left = heard - self._echo(self._used)
        left_by_learner = heard - self._echo(self._learner)
        self._learn(left_by_learner)
        self._compare(heard, left, left_by_learner)
        return left if self.is_learnt else np.zeros_like(heard)

    def _echo(self, weights: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
        return np.fft.irfft((weights * self._spectra).sum(axis=0))[BLOCK:]

    def _learn(self, error: npt.NDArray[np.float64]) -> None:
        now = np.sum(np.abs(self._spectra) ** 2, axis=0)
        self._power = np.maximum(now, _KEEP_POWER * self._power)
        spectrum = np.fft.rfft(np.concatenate([np.zeros(BLOCK), error]))
        # Where the reference holds little, what is left is somebody else's sound.
        floor = 1e-3 * float(self._power.mean()) + 1e-9
        gain = _STEP * spectrum / (self._power + floor)
        change = np.fft.irfft(np.conj(self._spectra) * gain, axis=1)
        change[:, BLOCK:] = 0.0  # as a filter that does not wrap around
        self._learner += np.fft.rfft(change, axis=1)

    def _compare(self, *signals: npt.NDArray[np.float64]) -> None:
        """Use the better filter, and tell whether it is good enough."""
        powers = (self._heard, self._left, self._left_by_learner)
        self._heard, self._left, self._left_by_learner = (
            _KEEP * power + (1 - _KEEP) * float(np.mean(signal**2))
            for power, signal in zip(powers, signals, strict=True)
        )
        if self._left_by_learner < _BETTER * min(self._left, self._heard):
            self._used = self._learner.copy()
            self._left = self._left_by_learner
        elif self._left_by_learner > _WORSE * min(self._left, self._heard):
            self._learner = self._used.copy()
            self._left_by_learner = self._left
        if self._left < _LEARNT * self._heard:
            self.is_learnt = True
        elif self._left > _WORSE * self._heard:  # it adds what is not there
            self.is_learnt = False
