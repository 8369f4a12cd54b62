"""Every benchmark, from its official format to its figures."""

import json
import shutil

import pytest

from roma_ros.evaluation.benchmarks.benchmark import MissingDataError
from roma_ros.evaluation.benchmarks.registry import BENCHMARKS
from roma_ros.evaluation.benchmarks.run import run_benchmark
from roma_ros.evaluation.benchmarks.worker import BenchmarkJob
from roma_ros.runtime.factory import default_model

NAMES = tuple(BENCHMARKS)


@pytest.fixture(scope='module')
def job():
    return BenchmarkJob(model=str(default_model()), device='cpu', threads=1)


def test_there_are_the_papers_twelve():
    assert len(NAMES) == 12


@pytest.mark.parametrize('name', NAMES)
def test_runs_in_its_official_format_and_goes_on_after_an_interruption(
    name, official, job, tmp_path
):
    if name in ('video-mme', 'egoschema'):
        pytest.importorskip('espeakng_loader', reason='no voice to ask with is installed')
    benchmark = BENCHMARKS[name]
    num_samples = len(benchmark.samples(official[name]))
    seen = []

    def stop(done, total):
        seen.append((done, total))
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_benchmark(benchmark, job, data=official[name], folder=tmp_path, on_line=stop)
    assert seen == [(0, num_samples), (1, num_samples)]
    seen.clear()
    result = run_benchmark(
        benchmark,
        job,
        data=official[name],
        folder=tmp_path,
        on_line=lambda done, total: seen.append((done, total)),
    )
    assert seen[0] == (1, num_samples)
    assert seen[-1] == (num_samples, num_samples)
    assert result['samples'] == num_samples
    assert result['figures']
    assert all(v is None or 0 <= v <= 100 for v in result['figures'].values())
    # What others published stands beside a figure of the same name.
    for published in benchmark.published:
        group = published.figure.rpartition(':')[0]
        assert any(figure.startswith(group) for figure in result['figures']), published
    lines = (tmp_path / f'{name}.jsonl').read_text().splitlines()
    assert len(lines) == 1 + num_samples
    for line in map(json.loads, lines[1:]):
        assert all(len(p) == line['seconds'] for p in line['probabilities'].values())


@pytest.mark.parametrize('name', NAMES)
def test_what_is_missing_is_named_with_its_layout_and_owner(name, tmp_path):
    benchmark = BENCHMARKS[name]
    with pytest.raises(MissingDataError, match='Its owners publish it at http') as error:
        benchmark.samples(tmp_path)
    assert benchmark.owner in str(error.value)
    assert benchmark.layout in str(error.value)


@pytest.mark.parametrize('name', NAMES)
def test_a_missing_video_is_named(name, official, tmp_path):
    folder = shutil.copytree(official[name], tmp_path / name)
    videos = [path for path in folder.rglob('*') if path.suffix in ('.mp4', '.mkv')]
    for path in videos:
        path.unlink()
    with pytest.raises(MissingDataError, match='there is no video'):
        BENCHMARKS[name].samples(folder)


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('qvhighlights', 'highlight_val_release.jsonl'),
        ('omnimmi-pa', 'proactive_alerting.json'),
        ('streamingbench-po', 'questions_proactive.json'),
        ('streamingbench', 'questions_real.json'),
        ('ovo-qa', 'ovo_bench_new.json'),
        ('youcook2', 'youcookii_annotations_trainval.json'),
        ('egoschema', 'questions.json'),
    ],
)
@pytest.mark.parametrize('text', ['[{"x": 1}]', '{"x": 1}', '{"x"', '[3]'])
def test_another_format_is_refused(name, file, text, official, tmp_path):
    folder = shutil.copytree(official[name], tmp_path / name)
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=r'has no |expected a list|not JSON'):
        BENCHMARKS[name].samples(folder)


def test_a_model_that_saw_the_data_is_marked(official, tmp_path):
    model = shutil.copytree(default_model(), tmp_path / 'model')
    results = []
    for declared in (None, 'youcook2', 'tabletop'):
        card = model / 'README.md'
        card.write_text('' if declared is None else f'---\ndatasets: [{declared}]\n---\n')
        results.append(
            run_benchmark(
                BENCHMARKS['youcook2'],
                BenchmarkJob(model=str(model), device='cpu', threads=1),
                data=official['youcook2'],
                folder=tmp_path,
            )['trained_on_it']
        )
    assert results == [None, True, False]


def test_an_empty_annotation_is_refused(job, tmp_path):
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'proactive_alerting.json').write_text('[]')
    with pytest.raises(ValueError, match='there is no sample'):
        run_benchmark(BENCHMARKS['omnimmi-pa'], job, data=tmp_path, folder=tmp_path)
