import numpy as np

from roma_ros.bench.synthetic import SyntheticStream
from roma_ros.units.unit import UnitFlag


def test_units_differ_and_can_be_made_again():
    stream, again, other = SyntheticStream(1), SyntheticStream(1), SyntheticStream(2)
    units = [stream.unit(i) for i in range(20)]
    assert len({u.audio.tobytes() for u in units}) == 20
    assert len({u.frames.tobytes() for u in units}) == 20
    assert np.array_equal(units[7].frames, again.unit(7).frames)
    assert np.array_equal(units[7].audio, again.unit(7).audio)
    assert not np.array_equal(units[7].audio, other.unit(7).audio)
    assert units[7].frames.shape == (2, 480, 640, 3)
    assert all(0 < np.abs(u.audio).max() <= 1 for u in units)


def test_sensors_fail_now_and_then():
    units = [SyntheticStream(0).unit(i) for i in range(60)]
    for flag, is_missing in (
        (UnitFlag.NO_VIDEO, lambda u: len(u.frames) == 0),
        (UnitFlag.NO_AUDIO, lambda u: not u.audio.any()),
        (UnitFlag.REPEATED_FRAME, lambda u: len(u.frames) == 1),
    ):
        flagged = [u.index for u in units if flag in u.flags]
        assert 0 < len(flagged) < 10
        assert flagged == [u.index for u in units if is_missing(u)]
