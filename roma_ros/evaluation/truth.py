"""What is known to be in a recording: ``recording.json``."""

from dataclasses import dataclass
import json
from pathlib import Path


@dataclass(frozen=True)
class Scene:
    """A shot: its span [s], the clip it is from and what is to be seen."""

    start_s: float
    end_s: float
    clip: str
    what: str


@dataclass(frozen=True)
class Speech:
    """Something the operator says: its span [s], the instruction's kind and the words."""

    start_s: float
    end_s: float
    kind: str
    text: str


@dataclass(frozen=True)
class Sound:
    """A sound that is no speech: its span [s] and its name."""

    start_s: float
    end_s: float
    what: str


@dataclass(frozen=True)
class Truth:
    """
    What is in a recording, in seconds since its begin: the content of ``recording.json``.

    :param clap_s: instant of the clap, when there is one.
    """

    version: int
    media: str
    duration_s: float
    clap_s: float | None
    scenes: tuple[Scene, ...]
    speech: tuple[Speech, ...]
    sounds: tuple[Sound, ...]


def load_truth(path: Path) -> Truth:
    """
    Read the ground truth of a recording.

    :param path: ``recording.json``.
    :raises ValueError: when the file is not a ground truth.
    """
    try:
        fields = json.loads(path.read_text(encoding='utf-8'))
        fields['scenes'] = tuple(Scene(**item) for item in fields['scenes'])
        fields['speech'] = tuple(Speech(**item) for item in fields['speech'])
        fields['sounds'] = tuple(Sound(**item) for item in fields['sounds'])
        return Truth(**fields)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f'not a ground truth ({type(error).__name__}: {error}); delete it to build the '
            f'recording again: {path}'
        ) from error
