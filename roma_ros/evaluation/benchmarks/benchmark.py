"""What a benchmark is: samples read from its owner's files, and figures made of their lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any, Protocol

from ...policy.triggers import TriggerConfig
from ..runner import Line

#: Begin and end of a part of a recording [s].
Part = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Said:
    """Words that reach the session at a time of the stream [s]: typed, or as spoken."""

    text: str
    time_s: float


@dataclass(frozen=True, kw_only=True)
class StreamSample:
    """
    One stream, and what is asked of the model in it; all times count from the stream's begin.

    :param id: its own in the benchmark.
    :param media: the recording.
    :param parts: of the recording, laid end to end; none: all of it.
    :param alerts: standing conditions, from their times on.
    :param questions: typed ones.
    :param spoken: sentences laid over the sound, from their times on; a stream that ends before
        they do goes on with its last frame.
    :param tail_s: so long the stream goes on with its last frame, in silence.
    :param narrate: the narration stands from the begin.
    :param truth: what the metric needs; part of the line.
    """

    id: str
    media: Path
    parts: tuple[Part, ...] = ()
    alerts: tuple[Said, ...] = ()
    questions: tuple[Said, ...] = ()
    spoken: tuple[Said, ...] = ()
    tail_s: float = 0.0
    narrate: bool = False
    truth: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Published:
    """
    A figure that its authors published.

    :param figure: its name in this benchmark's figures.
    :param value: as published, in the figure's own unit.
    :param comparable: whether it is of the same definition and data.
    :param note: why, or why not.
    """

    system: str
    figure: str
    value: float
    comparable: bool
    note: str


class Benchmark(Protocol):
    """
    A benchmark: a reader and a metric.

    :param name: on the command line.
    :param title: in tables.
    :param owner: where its owners publish it.
    :param layout: the files that are expected in the data folder, as they come from there.
    :param datasets: names that mark a model as trained on it, in its ``trained_on``.
    :param triggers: when to speak: the paper's presets (A.3), by the words of the results.
    :param published: figures of others.
    """

    name: str
    title: str
    owner: str
    layout: str
    datasets: tuple[str, ...]
    triggers: Mapping[str, TriggerConfig]
    published: tuple[Published, ...]

    def samples(self, folder: Path) -> list[StreamSample]:
        """
        Read the annotation.

        :raises MissingDataError: when a file is not there.
        :raises ValueError: when one is not in its official format.
        """
        ...

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Return the figures of a run: names with the definition in them, and numbers."""
        ...


class MissingDataError(ValueError):
    """A benchmark's files are not where they are expected."""


def require(folder: Path, benchmark: Benchmark, *names: str) -> Path:
    """
    Return the first of these files or folders that is there.

    :raises MissingDataError: when none is; it says what is expected, and where to get it.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise MissingDataError(
        f'{benchmark.title}: there is no {" or ".join(names)} in {folder}. Its owners publish it '
        f'at {benchmark.owner}; expected is\n{benchmark.layout}'
    )


def find_video(folder: Path, benchmark: Benchmark, stem: str) -> Path:
    """
    Return a video by its name, whatever its container.

    :param folder: where the videos are.
    :param stem: name, with folders where it has some, without the ending or with it.
    :raises MissingDataError: when it is not there.
    """
    exact = folder / stem
    if exact.is_file():
        return exact
    for suffix in ('.mp4', '.mkv', '.webm', '.avi', '.mov'):
        path = exact.parent / f'{exact.name}{suffix}'
        if path.is_file():
            return path
    raise MissingDataError(
        f'{benchmark.title}: there is no video {stem} in {folder}; its owners publish the videos '
        f'or say how to get them at {benchmark.owner}'
    )


def read_json(path: Path) -> Any:
    """
    Read a JSON file, or one of one value a line (``.jsonl``).

    :raises ValueError: when it is neither.
    """
    text = path.read_text(encoding='utf-8')
    try:
        if path.suffix == '.jsonl':
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'not JSON ({error}): {path}') from error


class Fields:
    """
    Fields of an annotation, with errors that say which file and entry they are of.

    :param values: as read.
    :param where: for the errors.
    """

    def __init__(self, values: Any, where: str) -> None:
        self.values = values
        self.where = where

    def __getitem__(self, name: str) -> Any:
        """
        Return a field.

        :raises ValueError: when it is not there.
        """
        if not isinstance(self.values, dict) or name not in self.values:
            found = sorted(self.values) if isinstance(self.values, dict) else self.values
            raise ValueError(f'{self.where} has no {name!r}, only {found}')
        return self.values[name]


def entries(values: Any, path: Path) -> Iterator[Fields]:
    """
    Return the entries of a list.

    :raises ValueError: when it is no list.
    """
    if not isinstance(values, list):
        raise ValueError(f'expected a list of entries, not a {type(values).__name__}: {path}')
    for index, value in enumerate(values):
        yield Fields(value, f'entry {index} of {path.name}')


def clock_s(text: str) -> float:
    """
    Return the seconds of ``H:MM:SS`` or ``MM:SS``.

    :raises ValueError: when it is neither.
    """
    total = 0.0
    for part in text.split(':'):
        total = total * 60 + float(part)
    return total
