"""From speak probabilities to the decision to speak."""

from collections import deque
from dataclasses import dataclass, replace

from .instructions import InstructionKind


@dataclass(frozen=True, kw_only=True)
class TriggerConfig:
    """
    When to speak.

    :param threshold: speak probability from which a unit counts, 0..1.
    :param window_units: how many units in a row have to count (paper A.3, "window").
    :param smoothing_units: how many of the newest probabilities are averaged first; 1: none.
    :param hysteresis: after speaking, the probability has to fall below ``threshold -
        hysteresis`` before the trigger may fire again; None: it may fire at every unit.
    :param refractory_units: units of silence after speaking, whatever the probability.
    :raises ValueError: when a value is out of its range.
    """

    threshold: float
    window_units: int = 1
    smoothing_units: int = 1
    hysteresis: float | None = 0.0
    refractory_units: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f'threshold is {self.threshold}, expected between 0 and 1')
        if self.window_units < 1 or self.smoothing_units < 1 or self.refractory_units < 0:
            raise ValueError(
                f'window_units is {self.window_units}, smoothing_units {self.smoothing_units}, '
                f'refractory_units {self.refractory_units}; expected at least 1, 1 and 0'
            )
        if self.hysteresis is not None and not 0.0 <= self.hysteresis < self.threshold:
            raise ValueError(
                f'hysteresis is {self.hysteresis}, expected at least 0 and less than the '
                f'threshold {self.threshold}'
            )

    def with_threshold(self, threshold: float) -> 'TriggerConfig':
        """Return the same with another threshold, and a hysteresis that fits below it."""
        hysteresis = self.hysteresis
        if hysteresis is not None:
            hysteresis = min(hysteresis, threshold / 2)
        return replace(self, threshold=threshold, hysteresis=hysteresis)


#: Presets by kind. Narration and its threshold: paper A.3 and Table 8; alerts: the release's
#: demo (0.6) with the two-unit window that the paper uses on OVO-Bench. Answers: as alerts.
PRESETS: dict[InstructionKind, TriggerConfig] = {
    InstructionKind.NARRATION: TriggerConfig(threshold=0.975, hysteresis=None),
    InstructionKind.ALERT: TriggerConfig(threshold=0.6, window_units=2, hysteresis=0.1),
    InstructionKind.ANSWER: TriggerConfig(threshold=0.6, hysteresis=0.1),
}


class Trigger:
    """
    Decides at each unit whether to speak; one object serves one instruction.

    :param config: thresholds and times.
    """

    _recent: deque[float]
    _in_a_row: int
    _silent_units: int
    _armed: bool

    def __init__(self, config: TriggerConfig) -> None:
        self.config = config
        self.reset()

    def update(self, probability: float) -> bool:
        """
        Take the speak probability of the next unit.

        :param probability: 0..1; NaN counts as 0.
        :return: True to speak now.
        """
        config = self.config
        self._recent.append(probability if probability == probability else 0.0)
        smoothed = sum(self._recent) / len(self._recent)
        if config.hysteresis is None or smoothed < config.threshold - config.hysteresis:
            self._armed = True
        self._in_a_row = self._in_a_row + 1 if smoothed >= config.threshold else 0
        rested = self._silent_units >= config.refractory_units
        self._silent_units += 1
        if self._armed and rested and self._in_a_row >= config.window_units:
            self._armed = False
            self._silent_units = 0
            return True
        return False

    def reset(self) -> None:
        """Forget every probability, as at the begin of a stream."""
        self._recent = deque(maxlen=self.config.smoothing_units)
        self._in_a_row = 0
        self._silent_units = self.config.refractory_units
        self._armed = True
