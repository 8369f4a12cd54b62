"""Puts a stream together from its seed: what happens, sounds, speech, tasks and their labels."""

from dataclasses import replace
import math

import numpy as np

from ...units.unit import SAMPLE_RATE_HZ
from .alerts import AlertMaker, SENSES
from .labels import Alert, Question, Sense, Sound, Split, TabletopStream
from .language import SPOKEN_ALERTS
from .motion import plan_scene
from .noise import make_noise
from .questions import QuestionMaker, TOPICS
from .render import Renderer
from .sounds import make_sound, SOUNDS
from .soundscape import Item, mix
from .talk import Talk
from .world import Scene

#: Length of the streams that training reads [s].
DURATION_S = 16
#: Size of the frames that training reads [px].
SIZE = (160, 120)

_SPLITS: tuple[Split, ...] = ('train', 'validation', 'test')
#: Streams are made no shorter than this [s].
SHORTEST_S = 8
_SOUND_GAP_S = 0.3
_LOUDNESS_DB = (4.0, 25.0)
_SPOKEN_ALERT_SHARE = 0.8  # of the streams that are not narrated
_SPOKEN_QUESTION_SHARE = 0.6  # before those for which there is no room
# What left is asked twice as often: in many streams nothing has left yet.
_TOPIC_DECK = (*TOPICS, 'left')
_QUESTION_GAP = 2  # units between two answers


def make_stream(
    seed: int,
    *,
    split: Split,
    duration_s: int = DURATION_S,
    size: tuple[int, int] = SIZE,
    plain: bool = False,
    audible: bool = True,
) -> TabletopStream:
    """
    Make the stream of a seed.

    The same seed gives the same stream, whatever the size of its frames, which are drawn when
    they are asked for.

    :param seed: 0 or more; each split has streams of its own.
    :param split: whose backgrounds, voices and combinations appear.
    :param duration_s: length, 8 or more; with it grows what happens.
    :param size: width and height of the frames [px], 4:3.
    :param plain: grey behind the things, even light and a perfect camera.
    :param audible: make the audio; else it is silent and spoken words are spread evenly, at a
        fraction of the cost. All else is the same.
    :raises ValueError: when an argument is not as above.
    :raises ModuleNotFoundError: when a package with pictures or voices is missing.
    """
    if split not in _SPLITS:
        raise ValueError(f'no split {split!r}; there are {", ".join(_SPLITS)}')
    if seed < 0:
        raise ValueError(f'the seed is {seed}: expected 0 or more')
    if duration_s < SHORTEST_S:
        raise ValueError(f'a stream of {duration_s} s: expected {SHORTEST_S} s or more')
    scene_rng, sound_rng, task_rng, look_rng, voice_rng, noise_rng = (
        np.random.Generator(np.random.PCG64(sequence))
        for sequence in np.random.SeedSequence([_SPLITS.index(split), seed]).spawn(6)
    )
    scene = plan_scene(scene_rng, split=split, duration_s=duration_s)
    sounds, items = _place_sounds(sound_rng, duration_s)
    talk = Talk(voice_rng, split=split, busy=[(s.start_s, s.end_s) for s in sounds])
    tasks = _Tasks(task_rng, split=split, scene=scene, sounds=sounds, talk=talk)
    alerts, questions = tasks.make_alerts(), tasks.make_questions()
    speech, spoken = talk.say(audible=audible)
    audio = np.zeros(duration_s * SAMPLE_RATE_HZ, np.float32)
    if audible:
        noise = make_noise(noise_rng, len(audio), split=split)
        audio = mix(duration_s, [*items, *spoken], noise, noise_rng)
    renderer = Renderer(scene, look_rng, split=split, size=size, plain=plain)
    return TabletopStream(
        seed=seed,
        split=split,
        duration_s=duration_s,
        frame_at=renderer.frame_at,
        objects_at=renderer.objects_at,
        audio=audio,
        events=scene.events,
        sounds=sounds,
        speech=tuple(sorted(speech, key=lambda s: s.start_s)),
        alerts=tuple(
            alert if said is None else replace(alert, speech=speech[said])
            for alert, said in alerts
        ),
        questions=tuple(
            question if said is None else replace(question, speech=speech[said])
            for question, said in questions
        ),
        narrate=tasks.narrate,
    )


def _place_sounds(
    rng: np.random.Generator, duration_s: int
) -> tuple[tuple[Sound, ...], list[Item]]:
    """Choose sounds and when they begin: early in a second, so that its unit hears them."""
    placed: list[tuple[Sound, Item]] = []
    wanted = _number(rng, 2, 4, duration_s)
    for _ in range(3 * wanted):
        if len(placed) == wanted:
            break
        name = SOUNDS[rng.integers(len(SOUNDS))]
        samples = make_sound(name, rng)
        start_s = int(rng.integers(1, duration_s - 2)) + float(rng.uniform(0.05, 0.6))
        sound = Sound(name, start_s, start_s + len(samples) / SAMPLE_RATE_HZ)
        item = Item(samples, start_s, float(rng.uniform(*_LOUDNESS_DB)))
        if all(
            sound.start_s > other.end_s + _SOUND_GAP_S
            or other.start_s > sound.end_s + _SOUND_GAP_S
            for other, _ in placed
        ):
            placed.append((sound, item))
    placed.sort(key=lambda pair: pair[0].start_s)
    return tuple(sound for sound, _ in placed), [item for _, item in placed]


def _number(rng: np.random.Generator, least: int, most: int, duration_s: int) -> int:
    """Choose how many, in proportion to the stream's length."""
    return max(round(float(rng.integers(least, most + 1)) * duration_s / DURATION_S), 1)


class _Tasks:
    """The alerts and questions of one stream, and whether it is narrated."""

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        split: Split,
        scene: Scene,
        sounds: tuple[Sound, ...],
        talk: Talk,
    ) -> None:
        self.narrate = bool(rng.integers(2))
        self._rng = rng
        self._scene = scene
        self._talk = talk
        self._alert_maker = AlertMaker(rng, split=split, scene=scene, sounds=sounds)
        self._question_maker = QuestionMaker(rng, scene=scene, sounds=sounds)
        # Units in whose end the stream itself has something else to say.
        self._taken: set[int] = set()
        if self.narrate:
            self._taken.update(math.ceil(event.time_s) - 1 for event in scene.events)

    def make_alerts(self) -> list[tuple[Alert, int | None]]:
        """
        Make four to six, of each sense as often; at most one of them is spoken.

        :return: each with the index of its sentence in the talk; None: it is typed.
        """
        rng = self._rng
        alerts: list[tuple[Alert, int | None]] = []
        senses = [SENSES[i] for i in [*rng.permutation(3), *rng.permutation(3)]]
        if not self.narrate and rng.random() < _SPOKEN_ALERT_SHARE:
            alerts += self._make_spoken(senses[-1])
        for sense in senses[: rng.integers(4, 7) - len(alerts)]:
            alert = self._alert_maker.make(sense, holds=bool(rng.integers(2)))
            if alert is not None:
                alerts.append((alert, None))
        return alerts

    def _make_spoken(self, sense: Sense) -> list[tuple[Alert, int | None]]:
        """Make an alert that the operator says in the first half of the stream, or none."""
        rng = self._rng
        template = SPOKEN_ALERTS[rng.integers(len(SPOKEN_ALERTS))]
        seconds = rng.permutation(np.arange(2, self._scene.duration_s // 2))
        ends_s = [float(end_s) for end_s in seconds + rng.uniform(0.2, 0.9, len(seconds))]

        def fit(condition: str) -> float | None:
            text = template.format(condition)
            return next((end_s for end_s in ends_s if self._talk.fits(text, end_s)), None)

        alert = self._alert_maker.make(sense, holds=bool(rng.integers(2)), said=fit)
        if alert is None:
            return []
        for start_s, stop_s in alert.windows:
            self._taken.update(range(math.ceil(start_s) - 1, math.floor(stop_s) + 1))
        text = template.format(alert.text)
        end_s = next(end_s for end_s in ends_s if self._talk.fits(text, end_s))
        return [(alert, self._talk.reserve(text, end_s))]

    def make_questions(self) -> list[tuple[Question, int | None]]:
        """
        Make two to four, of topics as different as can be, spoken or typed.

        :return: in order of time, each with the index of its sentence in the talk; None: it is
            typed.
        """
        rng = self._rng
        questions: list[tuple[Question, int | None]] = []
        wanted = _number(rng, 2, 4, self._scene.duration_s)
        topics: list[str] = []
        for _ in range(4 * wanted):
            topics = topics or [_TOPIC_DECK[i] for i in rng.permutation(len(_TOPIC_DECK))]
            questions += self._ask(topics.pop())
            if len(questions) == wanted:
                break
        return sorted(questions, key=lambda pair: pair[0].time_s)

    def _ask(self, topic: str) -> list[tuple[Question, int | None]]:
        """Ask about a topic where there is room for it, if there is any."""
        rng = self._rng
        is_spoken = rng.random() < _SPOKEN_QUESTION_SHARE
        fraction = float(rng.uniform(0.2, 0.9))

        def fits(unit: int, text: str) -> bool:
            is_free = unit not in self._taken
            return is_free and (not is_spoken or self._talk.fits(text, unit + fraction))

        candidate = self._question_maker.make(topic, fits)
        if candidate is None:
            return []
        unit, text = candidate.unit, candidate.text
        self._taken.update(range(unit - _QUESTION_GAP + 1, unit + _QUESTION_GAP))
        said = self._talk.reserve(text, unit + fraction) if is_spoken else None
        return [(Question(text, unit + fraction, topic, candidate.answer), said)]
