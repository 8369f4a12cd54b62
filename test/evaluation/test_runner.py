from dataclasses import dataclass
import json
import math

import pytest

from roma_ros.evaluation.runner import run_samples, to_json


@dataclass(frozen=True)
class Sample:
    id: str
    value: float


@pytest.fixture
def worker():
    """Doubles values, remembers what it ran, and fails at the sample that is to fail."""

    class Worker:
        def __init__(self):
            self.ran = []
            self.made = 0
            self.fail_at = ''

        def make(self):
            self.made += 1
            return self

        def __call__(self, sample):
            if sample.id == self.fail_at:
                raise KeyboardInterrupt
            self.ran.append(sample.id)
            return {'id': sample.id, 'doubled': 2 * sample.value}

    return Worker()


SAMPLES = [Sample(f's{i}', float(i)) for i in range(5)]


def test_returns_one_line_a_sample_in_their_order(tmp_path, worker):
    path = tmp_path / 'lines.jsonl'
    seen = []
    lines = run_samples(
        SAMPLES,
        worker.make,
        path=path,
        identity={'model': 'a'},
        on_line=lambda done, total: seen.append((done, total)),
    )
    assert [line['doubled'] for line in lines] == [0, 2, 4, 6, 8]
    assert seen == [(i, 5) for i in range(6)]
    first, *rest = path.read_text().splitlines()
    assert json.loads(first) == {'identity': {'model': 'a'}}
    assert [json.loads(line)['id'] for line in rest] == [s.id for s in SAMPLES]


def test_goes_on_where_it_was_interrupted(tmp_path, worker):
    path = tmp_path / 'lines.jsonl'
    worker.fail_at = 's3'
    with pytest.raises(KeyboardInterrupt):
        run_samples(SAMPLES, worker.make, path=path, identity={})
    assert worker.ran == ['s0', 's1', 's2']
    worker.fail_at = ''
    lines = run_samples(SAMPLES, worker.make, path=path, identity={})
    assert worker.ran == ['s0', 's1', 's2', 's3', 's4']
    assert [line['doubled'] for line in lines] == [0, 2, 4, 6, 8]
    assert worker.made == 2
    # Nothing is left: the model is not even loaded.
    assert run_samples(SAMPLES, worker.make, path=path, identity={}) == lines
    assert worker.made == 2


def test_a_line_that_a_kill_cut_off_is_run_again(tmp_path, worker):
    path = tmp_path / 'lines.jsonl'
    whole = run_samples(SAMPLES, worker.make, path=path, identity={})
    text = path.read_text()
    path.write_text(text[:-10])
    assert run_samples(SAMPLES, worker.make, path=path, identity={}) == whole
    assert worker.ran[5:] == ['s4']
    assert path.read_text() == text


def test_refuses_lines_of_another_run(tmp_path, worker):
    path = tmp_path / 'lines.jsonl'
    run_samples(SAMPLES, worker.make, path=path, identity={'model': 'a', 'seed': 1})
    with pytest.raises(ValueError, match='another run: model differ'):
        run_samples(SAMPLES, worker.make, path=path, identity={'model': 'b', 'seed': 1})


def test_samples_that_are_not_asked_for_stay_in_the_file(tmp_path, worker):
    path = tmp_path / 'lines.jsonl'
    run_samples(SAMPLES, worker.make, path=path, identity={})
    lines = run_samples(SAMPLES[3:4], worker.make, path=path, identity={})
    assert [line['id'] for line in lines] == ['s3']
    assert len(path.read_text().splitlines()) == 6


def test_numbers_that_are_not_finite_become_null():
    text = to_json({'a': [math.nan, 1.0, (math.inf, -math.inf)], 2: {'b': math.nan}})
    assert json.loads(text) == {'a': [None, 1.0, [None, None]], '2': {'b': None}}
