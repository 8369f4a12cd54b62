from pathlib import Path
import sys

import numpy as np
import pytest

from roma_ros.evaluation.clap_offset import ClapFinder, MIN_CLAPS

sys.path.insert(0, str(Path(__file__).parent))  # for claps.py
from claps import clap_times, pictures, RATE_HZ, sound


def find(claps_s, *, image_late_s=0.0, audio_late_s=0.0, sounding=None, chunk=480, **how):
    finder = ClapFinder()
    for stamp_ns, image in pictures(claps_s, late_s=image_late_s, **how):
        finder.add_image(stamp_ns, image)
    begin_ns, samples = sound(claps_s if sounding is None else sounding, late_s=audio_late_s)
    for first in range(0, len(samples), chunk):
        stamp_ns = begin_ns + first * 10**9 // RATE_HZ
        finder.add_audio(stamp_ns, samples[first : first + chunk], rate_hz=RATE_HZ)
    return finder


@pytest.mark.parametrize(
    ('image_late_s', 'audio_late_s', 'fps'),
    [(0.0, 0.0, 30), (0.083, 0.0, 30), (0.0, 0.25, 30), (-0.14, 0.0, 60), (0.4, 0.0, 30)],
)
def test_the_offset_is_found_to_ten_milliseconds(image_late_s, audio_late_s, fps):
    finder = find(clap_times(10), image_late_s=image_late_s, audio_late_s=audio_late_s, fps=fps)
    offset = finder.estimate()
    expected_ms = (image_late_s - audio_late_s) * 1e3
    assert offset.offset_ns / 1e6 == pytest.approx(expected_ms, abs=10)
    assert offset.num_claps >= 9
    assert offset.spread_ns < 20e6
    assert offset.uncertainty_ns < 15e6


def test_hands_that_part_at_once_are_no_clap_to_go_by():
    with pytest.raises(ValueError, match=r'hold the\s+hands together'):
        find(clap_times(8), image_late_s=0.08, rebound=True).estimate()


def test_few_frames_give_what_they_allow():
    offset = find(clap_times(14), image_late_s=0.1, fps=10.0).estimate()
    assert offset.offset_ns / 1e6 == pytest.approx(100, abs=50)  # half a frame


def test_a_flash_is_a_clap_too():
    claps_s = clap_times(10)
    finder = ClapFinder()
    for index in range(int((claps_s[-1] + 1.5) * 30)):
        now_s = index / 30
        lit = any(0 <= now_s - clap_s < 0.3 for clap_s in claps_s)
        finder.add_image(round((now_s + 0.05) * 1e9), np.full((60, 80, 3), 200 if lit else 20))
    finder.add_audio(*sound(claps_s), rate_hz=RATE_HZ)
    assert finder.estimate().offset_ns / 1e6 == pytest.approx(50, abs=10)


def test_bangs_that_nobody_sees_are_left_out():
    claps_s = clap_times(10)
    others = [claps_s[-1] + 3.0, claps_s[-1] + 5.0]
    offset = find(claps_s, image_late_s=0.05, sounding=[*claps_s, *others]).estimate()
    assert offset.offset_ns / 1e6 == pytest.approx(50, abs=10)
    assert offset.num_left_out >= 2


@pytest.mark.parametrize('num_claps', [1, MIN_CLAPS - 1])
def test_too_few_claps_are_refused(num_claps):
    with pytest.raises(ValueError, match=rf'{num_claps} claps of use, at least 5 .*{num_claps} w'):
        find(clap_times(num_claps)).estimate()


def test_nothing_and_noise_are_refused():
    with pytest.raises(ValueError, match='0 claps of use'):
        ClapFinder().estimate()
    finder = ClapFinder()
    rng = np.random.default_rng(0)
    for index in range(300):
        finder.add_image(index * 33_000_000, rng.integers(0, 255, (60, 80, 3), np.uint8))
    finder.add_audio(0, rng.normal(0, 0.2, (480_000, 1)).astype(np.float32), rate_hz=RATE_HZ)
    with pytest.raises(ValueError, match='claps of use'):
        finder.estimate()


def test_sights_and_sounds_that_have_nothing_in_common_are_refused():
    with pytest.raises(ValueError, match=r'claps of use|do not agree'):
        find(clap_times(12, seed=3), sounding=clap_times(12, every_s=2.13, seed=4)).estimate()


def test_claps_in_quick_succession_are_not_told_apart():
    with pytest.raises(ValueError, match='0 were heard apart'):
        find(clap_times(20, every_s=0.6)).estimate()


def test_how_the_sound_is_cut_and_who_speaks_first_does_not_matter():
    claps_s = clap_times(8)
    expected = find(claps_s, image_late_s=0.07).estimate()
    for chunk in (37, 48_000):
        found = find(claps_s, image_late_s=0.07, chunk=chunk).estimate()
        assert found.offset_ns == pytest.approx(expected.offset_ns, abs=1_500_000)
    finder = find(claps_s, image_late_s=0.07)
    finder.add_image(0, np.zeros((120, 160, 3), np.uint8))  # an old one, out of order
    assert finder.estimate() == expected
