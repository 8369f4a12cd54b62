"""
All that is said about the tabletop: names, phrases, and which combinations a split holds back.

Everything that is spoken is made of :data:`WORDS`.
"""

from functools import lru_cache

from .labels import Split

SHAPES = ('box', 'ball', 'cone', 'star', 'ring')
COLORS = ('red', 'green', 'blue', 'yellow', 'white', 'black')
SIZES = ('small', 'big')
PLACES = ('left', 'middle', 'right')
NUMBERS = ('zero', 'one', 'two', 'three')
VERBS = ('enters', 'leaves', 'rolls', 'falls', 'hits', 'is covered', 'is uncovered')

#: What is heard, as an alert's condition, by the sound's name.
SOUND_CONDITIONS = {
    'bell': ('the bell rings', 'you hear a bell'),
    'beep': ('something beeps', 'you hear a beep'),
    'siren': ('the siren starts', 'you hear a siren'),
    'knock': ('someone knocks', 'you hear a knock'),
    'glass': ('glass breaks', 'you hear glass'),
    'hum': ('something hums', 'you hear a hum'),
}
#: What is heard, as an answer.
SOUND_ANSWERS = {
    'bell': 'a bell',
    'beep': 'a beep',
    'siren': 'a siren',
    'knock': 'a knock',
    'glass': 'glass',
    'hum': 'a hum',
}
#: How a condition is spoken.
SPOKEN_ALERTS = ('tell me when {}', 'say alert when {}')

#: Each word of every spoken sentence, in a fixed order: what the hearing learns to tell apart.
WORDS = (
    *('box', 'ball', 'cone', 'star', 'ring'),
    *('red', 'green', 'blue', 'yellow', 'white', 'black'),
    *('enters', 'leaves', 'rolls', 'falls', 'hits', 'covered', 'uncovered'),
    *('bell', 'beep', 'siren', 'knock', 'glass', 'hum'),
    *('rings', 'beeps', 'starts', 'knocks', 'breaks', 'hums'),
    *('what', 'where', 'how', 'many', 'color', 'did', 'hear', 'see', 'left', 'last'),
    *('tell', 'me', 'say', 'alert', 'when', 'while', 'you', 'in', 'view'),
    *('a', 'the', 'is', 'are', 'do', 'was', 'of', 'which', 'sound'),
    *('thing', 'things', 'something', 'someone', 'two', 'three', 'table'),
)

# One colour of a shape, and one sound beside a shape, that training never shows together.
_HELD_OUT_THINGS: dict[Split, frozenset[tuple[str, str]]] = {
    'validation': frozenset({('ball', 'white'), ('cone', 'blue'), ('star', 'green')}),
    'test': frozenset(
        {
            ('box', 'yellow'),
            ('ball', 'green'),
            ('cone', 'red'),
            ('star', 'black'),
            ('ring', 'blue'),
        }
    ),
}
_HELD_OUT_JOINTS: dict[Split, frozenset[tuple[str, str]]] = {
    'validation': frozenset({('siren', 'cone'), ('knock', 'ball'), ('hum', 'ring')}),
    'test': frozenset(
        {
            ('bell', 'box'),
            ('beep', 'star'),
            ('siren', 'ball'),
            ('knock', 'ring'),
            ('glass', 'cone'),
        }
    ),
}


@lru_cache
def things_of(split: Split) -> tuple[tuple[str, str], ...]:
    """Return the (shape, color) pairs that a split shows: those of training, and its own."""
    pairs = ((shape, color) for shape in SHAPES for color in COLORS)
    return tuple(p for p in pairs if p not in _held_back(_HELD_OUT_THINGS, split))


@lru_cache
def joints_of(split: Split) -> tuple[tuple[str, str], ...]:
    """Return the (sound, shape) pairs that a split's joint alerts name."""
    pairs = ((sound, shape) for sound in SOUND_ANSWERS for shape in SHAPES)
    return tuple(p for p in pairs if p not in _held_back(_HELD_OUT_JOINTS, split))


def name(shape: str, color: str) -> str:
    """Return what a thing is called: ``the red ball``."""
    return f'the {color} {shape}'


def _held_back(
    held_out: dict[Split, frozenset[tuple[str, str]]], split: Split
) -> frozenset[tuple[str, str]]:
    return frozenset().union(*(pairs for other, pairs in held_out.items() if other != split))
