from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from roma_ros.nodes.arrival_clock import ArrivalClock

EPOCH_NS = 1_763_800_000_000_000_000


@given(
    rate_hz=st.sampled_from([8_000, 16_000, 44_100, 48_000]),
    drift=st.floats(-300e-6, 300e-6),
    chunk=st.integers(160, 2048),
    seed=st.integers(0, 999),
)
@settings(max_examples=15, deadline=None)
def test_stamps_follow_the_card_through_drift_and_late_arrivals(rate_hz, drift, chunk, seed):
    clock = ArrivalClock(rate_hz)
    rng = np.random.default_rng(seed)
    stamps, errors = [], []
    for number in range(20 * rate_hz // chunk):
        first = number * chunk
        true_ns = EPOCH_NS + round(first / rate_hz * (1 + drift) * 1e9)
        end_ns = EPOCH_NS + round((first + chunk) / rate_hz * (1 + drift) * 1e9)
        late_ns = int(rng.exponential(3e6)) if rng.random() < 0.9 else int(40e6 * rng.random())
        stamps.append(clock.stamp_ns(chunk, end_ns + late_ns))
        errors.append(stamps[-1] - true_ns)
    settled = np.array(errors[len(errors) // 3 :])
    assert clock.num_jumps == 0
    assert np.all(np.diff(stamps) > 0)
    # As late as the promptest arrivals are, and no later.
    assert settled.min() > -1_000_000
    assert settled.max() < 15_000_000
    # Chunks join to within half a percent of their length.
    joints = np.diff(stamps) - chunk * 1e9 / rate_hz
    assert np.abs(joints).max() <= 0.005 * chunk * 1e9 / rate_hz + 2


def test_half_an_hour_of_drift_leaves_no_error():
    clock, rate_hz, chunk, drift = ArrivalClock(48_000), 48_000, 960, 120e-6
    for number in range(30 * 60 * 50):
        end_ns = EPOCH_NS + round((number + 1) * chunk / rate_hz * (1 + drift) * 1e9)
        stamp_ns = clock.stamp_ns(chunk, end_ns)
    true_ns = EPOCH_NS + round((30 * 60 * 50 - 1) * chunk / rate_hz * (1 + drift) * 1e9)
    assert stamp_ns == pytest.approx(true_ns, abs=1_000_000)
    assert clock.num_samples == 30 * 60 * 48_000


def test_samples_after_a_loss_keep_their_time():
    clock = ArrivalClock(16_000)
    for number in range(100):
        clock.stamp_ns(320, EPOCH_NS + (number + 1) * 20_000_000)
    # 0.5 s are lost; the card starts again at 2.5 s.
    lost = clock.skip_lost(EPOCH_NS + 2_500_000_000)
    assert lost == 8_000
    first = clock.num_samples
    assert clock.stamp_ns(320, EPOCH_NS + 2_520_000_000) == EPOCH_NS + 2_500_000_000
    assert first == 40_000
    assert clock.num_jumps == 0


def test_nothing_is_lost_before_the_first_chunk():
    assert ArrivalClock(16_000).skip_lost(EPOCH_NS) == 0


@pytest.mark.parametrize('step_ns', [-3_600_000_000_000, 7_200_000_000_000])
def test_stamps_follow_a_step_of_the_ros_clock(step_ns):
    clock = ArrivalClock(16_000)
    for number in range(1_000):
        shift_ns = step_ns if number >= 300 else 0
        stamp_ns = clock.stamp_ns(320, EPOCH_NS + shift_ns + (number + 1) * 20_000_000)
    assert stamp_ns == EPOCH_NS + step_ns + 999 * 20_000_000
    assert clock.num_jumps == 1
