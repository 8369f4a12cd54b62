"""Band-limited interpolation: the value of a sampled signal at any point between its samples."""

import numpy as np
import numpy.typing as npt

#: Zero crossings of the sinc on each side: 64 taps at equal rates, pass band to 7.3 of 8 kHz.
_ZERO_CROSSINGS = 32
#: Kaiser window shape; 9.0 puts the stop band below -90 dB.
_KAISER_BETA = 9.0
#: Phases in the filter table. Linear interpolation between them errs by (pi / 512)^2 / 8: -106 dB.
_PHASES = 512
#: Positions this near to a whole sample are whole samples: 6 ns at 16 kHz, above stamp rounding.
_WHOLE_SAMPLE = 1e-4
#: Coefficients computed at a time, so that the working set stays in the cache.
_BLOCK_COEFFICIENTS = 1 << 17


class Resampler:
    """
    Windowed-sinc interpolator from one sample rate towards a lower, equal or higher one.

    It keeps no signal: every output is computed from the input around its own position, so that
    outputs computed in pieces equal those computed at once.

    :param rate_hz: sample rate of the input [Hz].
    :param out_rate_hz: sample rate at which positions will be asked for [Hz]; what lies above
        half the lower of the two rates is filtered out.
    """

    def __init__(self, rate_hz: int, out_rate_hz: int) -> None:
        self._cutoff = min(1.0, out_rate_hz / rate_hz)
        self._may_copy = rate_hz == out_rate_hz
        #: Input samples needed on each side of a position.
        self.half_width = int(np.ceil(_ZERO_CROSSINGS / self._cutoff))
        self._table, self._slopes = self._make_table()

    def needs_filter(self, first: float, step: float, count: int) -> bool:
        """Say whether any position ``first + i * step``, i < ``count``, is between samples."""
        last = first + step * count
        return not (
            self._may_copy
            and abs(first - round(first)) < _WHOLE_SAMPLE
            and abs(last - round(last)) < _WHOLE_SAMPLE
            and round(last) - round(first) == count
        )

    def interpolate(
        self, samples: npt.NDArray[np.float32], *, first: float, step: float, count: int
    ) -> npt.NDArray[np.float32]:
        """
        Compute the signal at ``first``, ``first + step``, ... (``count`` positions).

        :param samples: float32 ``[n]``; what lies outside counts as zero.
        :param first: first position, in samples; 0.0 is ``samples[0]``.
        :param step: distance of the positions, in samples, positive.
        :param count: number of positions.
        :return: float32 ``[count]``.
        """
        if not self.needs_filter(first, step, count):
            return _slice_padded(samples, round(first), round(first) + count)
        taps = 2 * self.half_width
        begin = int(np.floor(first)) - self.half_width + 1
        end = int(np.floor(first + step * (count - 1))) + self.half_width + 1
        windows = np.lib.stride_tricks.sliding_window_view(
            _slice_padded(samples, begin, end), taps
        )
        out = np.empty(count, np.float32)
        block = max(1, _BLOCK_COEFFICIENTS // taps)
        for start in range(0, count, block):
            stop = min(start + block, count)
            positions = first + step * np.arange(start, stop)
            whole = np.floor(positions)
            phase = (positions - whole) * _PHASES
            row = phase.astype(np.intp)
            weight = (phase - row).astype(np.float32)[:, None]
            coefficients = self._slopes[row]
            coefficients *= weight
            coefficients += self._table[row]
            np.einsum(
                'ij,ij->i',
                windows[whole.astype(np.intp) - begin - self.half_width + 1],
                coefficients,
                out=out[start:stop],
            )
        return out

    def _make_table(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Make the filter per phase ``[phases, taps]`` and its change to the next phase."""
        phase = np.arange(_PHASES + 1)[:, None] / _PHASES
        tap = np.arange(2 * self.half_width)[None, :] - (self.half_width - 1)
        distance = tap - phase
        inside = np.clip(1 - (distance / self.half_width) ** 2, 0, None)
        table = np.sinc(self._cutoff * distance) * np.i0(_KAISER_BETA * np.sqrt(inside))
        table[np.abs(distance) > self.half_width] = 0
        table /= table.sum(axis=1, keepdims=True)  # a constant stays a constant at every phase
        return table[:-1].astype(np.float32), np.diff(table, axis=0).astype(np.float32)


def _slice_padded(
    samples: npt.NDArray[np.float32], begin: int, end: int
) -> npt.NDArray[np.float32]:
    """Return ``samples[begin:end]`` with zeros where that reaches outside."""
    inside = samples[max(begin, 0) : max(end, 0)]
    if len(inside) == end - begin:
        return inside
    padded = np.zeros(end - begin, np.float32)
    offset = max(-begin, 0)
    padded[offset : offset + len(inside)] = inside
    return padded
