from itertools import pairwise
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from roma_ros.evaluation.canvas import PngCanvas, SvgCanvas
from roma_ros.evaluation.metrics.calibration_error import reliability
from roma_ros.evaluation.metrics.curves import sweep_thresholds
from roma_ros.evaluation.plots import (
    delay_plot,
    learning_plot,
    precision_recall_plot,
    reliability_plot,
    roc_plot,
    SIZE,
)

RNG = np.random.default_rng(0)
LABELS = RNG.random(500) < 0.2
SCORES = np.clip(0.3 * LABELS + RNG.random(500) * 0.7, 0, 1)


def plots():
    return [
        precision_recall_plot('pr', {'<sight> & sound': sweep_thresholds(LABELS, SCORES)}),
        roc_plot('roc', {'<sight> & sound': sweep_thresholds(LABELS, SCORES)}),
        reliability_plot('calibration', reliability(LABELS, SCORES), 0.123),
        delay_plot('delays', [0.5, 0.7, 1.2, 9.0], num_missed=3),
    ]


def drawn(plot):
    canvas = SvgCanvas(*SIZE)
    plot(canvas)
    return canvas.render()


@pytest.mark.parametrize('plot', plots(), ids=lambda plot: plot.name)
def test_a_plot_is_sound_svg_inside_its_frame(plot):
    root = ElementTree.fromstring(drawn(plot).replace('&nbsp;', ' '))
    numbers = [
        float(number)
        for path in root.iter('path')
        for number in re.findall(r'-?\d+\.\d', path.get('d'))
    ]
    assert numbers
    assert all(0 <= number <= max(SIZE) for number in numbers)
    texts = [text.text for text in root.iter('text')]
    assert plot.title in texts


@pytest.mark.parametrize('plot', plots(), ids=lambda plot: plot.name)
def test_the_same_plot_is_a_picture(plot, tmp_path):
    image = pytest.importorskip('PIL.Image', reason='Pillow is not installed')
    canvas = PngCanvas(*SIZE)
    plot(canvas)
    canvas.save(tmp_path / 'plot.png')
    picture = np.array(image.open(tmp_path / 'plot.png'))
    assert picture.shape == (2 * SIZE[1], 2 * SIZE[0], 3)
    # Coloured ink, and not on the margins.
    colored = np.ptp(picture.astype(int), axis=2) > 60
    assert colored.sum() > 200
    assert not colored[:, :60].any()


def test_texts_are_escaped():
    svg = drawn(plots()[0])
    assert '&lt;sight&gt; &amp; sound' in svg
    assert '<sight>' not in svg


def test_precision_goes_in_steps():
    """Between two thresholds nothing is promised that none of them gives."""
    curve = sweep_thresholds([1, 0, 1], [0.9, 0.5, 0.1])
    svg = drawn(precision_recall_plot('pr', {'a': curve}))
    path = next(p for p in re.findall(r'd="(M[^"]+)"', svg) if p.count('L') == 5)
    points = [tuple(map(float, p.split())) for p in path[1:].split('L')]
    for (x0, y0), (x1, y1) in pairwise(points):
        assert x0 == x1 or y0 == y1


def test_curves_without_positives_are_left_out():
    none = sweep_thresholds([0, 0], [0.1, 0.2])
    some = sweep_thresholds([0, 1], [0.1, 0.2])
    svg = drawn(precision_recall_plot('pr', {'none': none, 'some': some}))
    assert '>some</text>' in svg
    assert '>none</text>' not in svg


def test_thousands_of_steps_are_written_out():
    text = drawn(learning_plot('losses', 'Loss', {'words': [(0, 0.5), (8270, 0.25)]}))
    assert {'8,270', '0.5', '0.125'} <= set(re.findall(r'>([^<>]+)</text>', text))


def test_every_delay_has_its_bar():
    svg = drawn(delay_plot('delays', [0.1, 0.2, 5.0], num_missed=0))
    heights = sorted(float(h) for h in re.findall(r'height="(\d+\.\d)" fill', svg))
    assert len(heights) == 2
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    assert '3 hits, 0 missed' in svg


def test_what_has_one_class_alone_has_no_roc_curve():
    every = sweep_thresholds(np.ones(5, bool), np.arange(5.0))
    assert 'only ones' not in drawn(roc_plot('roc', {'only ones': every}))
    perfect = sweep_thresholds(np.arange(5) > 2, np.arange(5.0))
    assert 'perfect' in drawn(roc_plot('roc', {'perfect': perfect}))
