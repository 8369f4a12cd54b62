"""
Flash cards for the towers: every second other things in other places, and speech without a break.

A stream shows few things, the same for seconds, and is mostly without a word. Towers that start
from nothing learn what a shape and a word is several times as fast from cards.

Many things have stripes of any two colours, or a colour without a name, of which no label tells.
Else towers learn that what is blue is no cone, where no lesson ever shows a blue cone: colours
are known long before shapes, which then are guessed from the colour.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..units.unit import SAMPLE_RATE_HZ
from .tabletop.generator import make_stream, SHORTEST_S, SIZE
from .tabletop.labels import Sound, Speech, Split, TabletopStream
from .tabletop.language import COLORS, SHAPES, SIZES, SPOKEN_ALERTS, things_of
from .tabletop.noise import make_noise
from .tabletop.render import as_color, Color, Renderer, RGB
from .tabletop.sounds import make_sound, SOUNDS
from .tabletop.soundscape import Item, mix
from .tabletop.voices import PITCHES, speak, SPEEDS, VOICES
from .tabletop.world import Path, RADII, Scene, Stripes, Thing, Track, WIDTH

#: Things of a deck, and most of them on one card.
_NUM_THINGS, _MAX_SHOWN = 20, 6
#: Where a thing is that is not on the card.
_AWAY = 9.0
_SOUND_SHARE = 0.25
#: Share of the things on cards that have not one named colour. By how much two stripes
#: differ, and how far a colour without a name is from the nearest with one; see ``_contrast``.
_STRIPED_SHARE, _LEAST_CONTRAST, _NAMELESS = 0.55, 200, (90, 200)
_LOUDNESS_DB = (6.0, 25.0)
#: Streams whose sentences are said: so few that most have been said before, and are at hand.
_NUM_SCRIPTS = 64


def is_deck(number: int, share: float) -> bool:
    """Say whether a stream is to be a deck, where a share of all are: 0..1, evenly spread."""
    return int((number + 1) * share) > int(number * share)


def make_cards(seed: int, *, split: Split, duration_s: int) -> TabletopStream:
    """
    Make a deck: a stream in which each unit is a card of its own.

    :param seed: the same seed gives the same deck.
    :param split: whose voices, backgrounds and combinations appear.
    :param duration_s: cards.
    :return: the deck, with exact labels of what is seen and heard, and no tasks.
    """
    rng = np.random.default_rng([seed, 77])
    scene = Scene(duration_s, _make_paths(rng, split, duration_s), (), (), 0.7)
    renderer = Renderer(scene, rng, split=split, size=SIZE)
    texts = _texts(seed % _NUM_SCRIPTS, split, duration_s)
    speech, sounds, items = _make_sound(rng, split, duration_s, texts)
    noise = make_noise(rng, duration_s * SAMPLE_RATE_HZ, split=split)
    return TabletopStream(
        seed=seed,
        split=split,
        duration_s=duration_s,
        frame_at=renderer.frame_at,
        objects_at=renderer.objects_at,
        audio=mix(duration_s, items, noise, rng),
        events=(),
        sounds=sounds,
        speech=speech,
        alerts=(),
        questions=(),
        narrate=False,
    )


@lru_cache(maxsize=4 * _NUM_SCRIPTS)
def _texts(script: int, split: Split, duration_s: int) -> tuple[str, ...]:
    """Return what is asked in a stream."""
    duration_s = max(duration_s, SHORTEST_S)
    stream = make_stream(script, split=split, duration_s=duration_s, audible=False)
    return (
        *(question.text for question in stream.questions),
        *(
            SPOKEN_ALERTS[index % len(SPOKEN_ALERTS)].format(alert.text)
            for index, alert in enumerate(stream.alerts)
        ),
    )


def _make_paths(rng: np.random.Generator, split: Split, duration_s: int) -> tuple[Path, ...]:
    pairs = things_of(split)
    paths = []
    for number in range(_NUM_THINGS):
        shape, color = pairs[rng.integers(len(pairs))]
        size = SIZES[rng.integers(len(SIZES))]
        thing = Thing(number, shape, color, size)
        if rng.random() < _STRIPED_SHARE:
            shape = SHAPES[rng.integers(len(SHAPES))]
            thing = Thing(number, shape, '', size, _make_stripes(rng))
        paths.append(Path(thing, Track(_AWAY), Track(_AWAY)))
    for unit in range(duration_s):
        taken: list[tuple[float, float, float]] = []
        shown = rng.permutation(_NUM_THINGS)[: rng.integers(1, _MAX_SHOWN + 1)]
        for path in paths:
            x, y = _place(rng, RADII[path.thing.size], taken)
            is_shown = path.thing.number in shown and x < _AWAY
            if is_shown:
                taken.append((x, y, RADII[path.thing.size]))
            else:
                x = y = _AWAY
            path.x.jump(unit - 0.1, x)
            path.y.jump(unit - 0.1, y)
            if is_shown and rng.random() < 0.3:
                path.x.add(unit, unit + 0.5, x + rng.uniform(-0.15, 0.15))
                path.y.add(unit, unit + 0.5, y + rng.uniform(-0.1, 0.1))
    return tuple(paths)


def _make_stripes(rng: np.random.Generator) -> Stripes:
    """Draw two colours that differ clearly, and how they lie on a thing; or one without a name."""
    while True:
        first, second = (_make_color(rng) for _ in range(2))
        if _contrast(first, second) > _LEAST_CONTRAST:
            break
    if rng.random() < 0.5:
        while not _NAMELESS[0] < min(_contrast(first, c) for c in RGB.values()) < _NAMELESS[1]:
            first = as_color(rng.uniform(15, 250, 3))
        second = first
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    return Stripes((first, second), float(angle), float(rng.uniform(0.3, 0.8)), float(phase))


def _make_color(rng: np.random.Generator) -> Color:
    """Draw any colour, or one of those with a name."""
    if rng.random() < 0.5:
        return as_color(rng.uniform(15, 250, 3))
    return as_color(np.array(RGB[COLORS[rng.integers(len(COLORS))]]) * rng.uniform(0.85, 1))


def _contrast(first: Color, second: Color) -> float:
    """Return by how much two colours differ, 0..765."""
    return float(np.abs(np.subtract(first, second)).sum())


def _place(
    rng: np.random.Generator, radius: float, taken: list[tuple[float, float, float]]
) -> tuple[float, float]:
    """Find a place beside what is there, partly out of the frame at most by half."""
    for _ in range(8):
        x, y = rng.uniform(0.0, WIDTH), rng.uniform(0.1, 0.9)
        if all(abs(x - a) > radius + r or abs(y - b) > radius + r for a, b, r in taken):
            return x, y
    return _AWAY, _AWAY


def _make_sound(
    rng: np.random.Generator, split: Split, duration_s: int, texts: Sequence[str]
) -> tuple[tuple[Speech, ...], tuple[Sound, ...], list[Item]]:
    """Say one text after another, with sounds between them, until the time is over."""
    speech: list[Speech] = []
    sounds: list[Sound] = []
    items: list[Item] = []
    voices = VOICES[split]
    start_s = float(rng.uniform(0.0, 0.5))
    while start_s < duration_s - 0.5:
        loudness_db = float(rng.uniform(*_LOUDNESS_DB))
        if not texts or rng.random() < _SOUND_SHARE:
            name = SOUNDS[rng.integers(len(SOUNDS))]
            samples = make_sound(name, rng)
            end_s = start_s + len(samples) / SAMPLE_RATE_HZ
            sounds.append(Sound(name, start_s, end_s))
        else:
            text = texts[int(rng.integers(len(texts)))]
            number = int(rng.integers(len(voices)))
            voice, way = voices[number], number + len(text)
            said = speak(
                text,
                voice=voice,
                speed=SPEEDS[way % len(SPEEDS)],
                pitch=PITCHES[way // len(SPEEDS) % len(PITCHES)],
            )
            samples, end_s = said.samples, start_s + said.duration_s
            words = tuple((w, start_s + a, start_s + b) for w, a, b in said.words)
            speech.append(Speech(text, voice, start_s, end_s, words))
        items.append(Item(samples, start_s, loudness_db))
        start_s = end_s + float(rng.uniform(0.1, 0.4))
    return tuple(speech), tuple(sounds), items
