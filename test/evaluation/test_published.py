import numpy as np
import pytest

from roma_ros.evaluation.benchmarks.registry import BENCHMARKS
from roma_ros.evaluation.published import ABLATION_COLUMNS, ABLATIONS, PUBLISHED, PublishedFigure


def test_every_figure_stands_once_and_names_a_benchmark():
    keys = [(item.benchmark, item.figure, item.system) for item in PUBLISHED]
    assert len(set(keys)) == len(keys)
    assert {item.benchmark for item in PUBLISHED} == set(BENCHMARKS)


@pytest.mark.parametrize('name', BENCHMARKS)
def test_benchmarks_give_the_same_figures(name):
    """What a benchmark puts beside ours is what was published, or the mean of it."""
    found = [item for item in PUBLISHED if item.benchmark == name]
    for item in BENCHMARKS[name].published:
        values = [f.value for f in found if f.system == item.system]
        groups = [
            [f.value for f in found if f.figure.startswith(prefix)]
            for prefix in ('real', 'omni', 'context: SQA')
        ]
        groups += [values[:6], values[6:]]  # OVO-Bench: real-time, backward
        means = [float(np.mean(group)) for group in groups if group]
        assert any(abs(item.value - value) < 0.006 for value in [*values, *means]), item


def test_romas_rows_agree_with_its_ablations():
    full = dict(zip(ABLATION_COLUMNS, ABLATIONS['ROMA (K = 4, w = 3)'], strict=True))
    roma = {(i.benchmark, i.figure): i.value for i in PUBLISHED if i.system == 'ROMA'}
    for column, key in {
        'QVHighlights mAP': ('qvhighlights', 'mAP'),
        'QVHighlights HIT@1': ('qvhighlights', 'HIT@1'),
        'Charades R@0.5': ('charades-sta', 'R@0.5'),
        'Charades R@0.7': ('charades-sta', 'R@0.7'),
        'PA': ('omnimmi-pa', 'accuracy'),
        'PO': ('streamingbench-po', 'accuracy'),
        'CRR': ('ovo-crr', 'accuracy'),
        'REC': ('ovo-rec', 'micro success'),
        'YouCook2 F1': ('youcook2', 'F1'),
        'SSR F1': ('ovo-ssr', 'F1'),
        'Video-MME': ('video-mme', 'accuracy'),
        'EgoSchema': ('egoschema', 'accuracy'),
    }.items():
        assert full[column] == roma[key]
    assert all(len(row) == len(ABLATION_COLUMNS) for row in ABLATIONS.values())


def test_the_two_qvhighlights_metrics_are_kept_apart():
    roma = [i for i in PUBLISHED if (i.benchmark, i.system) == ('qvhighlights', 'ROMA')]
    assert len(roma) == 2
    assert all('per-second' in item.why_apart for item in roma)
    assert PublishedFigure('qvhighlights', 'mAP', 'MMDuet', 31.3) in PUBLISHED
