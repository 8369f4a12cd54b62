"""
Samples through a worker, one JSON line each, in a file that an interrupted run goes on from.

The first line says what the run is: its *identity*. A run goes on only from lines of the same
identity, so that no figure mixes two models or two settings.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import json
import math
from pathlib import Path
from typing import Any, Protocol

#: What a worker returns for a sample, and what one line of the file holds.
Line = dict[str, Any]
#: Takes a sample, returns its line; holds the model.
Worker = Callable[[Any], Line]


class Sample(Protocol):
    """Whatever has a name that is its own in the run."""

    @property
    def id(self) -> str:
        """Return the sample's name."""
        ...


class Executor(Protocol):
    """Runs a worker over samples: :func:`run_here`, or many at once on Ray."""

    def __call__(
        self, make_worker: Callable[[], Worker], samples: Sequence[Any]
    ) -> Iterator[Line]:
        """Yield the line of each sample as it is done, in any order."""
        ...


def run_here(make_worker: Callable[[], Worker], samples: Sequence[Any]) -> Iterator[Line]:
    """Run samples one after the other in this process."""
    if samples:
        worker = make_worker()
        yield from map(worker, samples)


def run_samples(
    samples: Sequence[Sample],
    make_worker: Callable[[], Worker],
    *,
    path: Path,
    identity: Mapping[str, Any],
    execute: Executor = run_here,
    on_line: Callable[[int, int], None] = lambda done, total: None,
) -> list[Line]:
    """
    Run what is not in the file yet, and return the lines of all samples in their order.

    :param samples: what to run, each with an ``id`` of its own.
    :param make_worker: makes what runs a sample; called once in each process, and not at all
        where nothing is left to run.
    :param path: of the file, ``.jsonl``.
    :param identity: what a line depends on beside its sample: model, settings.
    :param execute: where the samples run.
    :param on_line: told how many are done, and of how many.
    :raises ValueError: when the file is from a run of another identity.
    """
    lines = {line['id']: line for line in _read_lines(path, dict(identity))}
    left = [sample for sample in samples if sample.id not in lines]
    done = len(samples) - len(left)
    on_line(done, len(samples))
    with path.open('a', encoding='utf-8') as file:
        for line in execute(make_worker, left):
            file.write(to_json(line) + '\n')
            file.flush()
            lines[line['id']] = line
            done += 1
            on_line(done, len(samples))
    return [lines[sample.id] for sample in samples]


def _read_lines(path: Path, identity: Line) -> Iterable[Line]:
    """Return the lines of an earlier run, or begin the file; a line cut off by a kill goes."""
    identity = json.loads(to_json(identity))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding='utf-8') if path.is_file() else ''
    whole = text[: text.rfind('\n') + 1]
    first, *rest = whole.splitlines() or ['']
    if not first:
        path.write_text(to_json({'identity': identity}) + '\n', encoding='utf-8')
        return []
    found = json.loads(first).get('identity')
    if found != identity:
        names = sorted(
            k for k in {**identity, **(found or {})} if (found or {}).get(k) != identity.get(k)
        )
        raise ValueError(
            f'the lines there are from another run: {", ".join(names)} differ; give another '
            f'place, or delete the file to begin anew: {path}'
        )
    if whole != text:
        path.write_text(whole, encoding='utf-8')
    return [json.loads(line) for line in rest]


def to_json(value: Any) -> str:
    """Return JSON on one line, with null for numbers that are not finite."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
