from dataclasses import replace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from roma_ros.msg import Status

from roma_ros.nodes.health import Health, Snapshot
from roma_ros.policy.instructions import parse_instruction
from roma_ros.runtime.worker import WorkerCounters
from roma_ros.units.synchronizer import SynchronizerCounters

ACTIVE = Snapshot(
    state=Status.STATE_ACTIVE,
    model='models/roma-tiny',
    engine='torch',
    device='cpu',
    instructions=[(parse_instruction('alert: a bell', id='a'), 0.6)],
    inputs=SynchronizerCounters(frames_received=60, audio_samples_received=32000, audio_gaps=1),
    worker=WorkerCounters(units=2, units_dropped=0, units_failed=0, queue_length=1),
    queue_capacity=4,
    cache_tokens=200,
    cache_capacity=1000,
    image_topic='/image',
    audio_topic='/audio',
)


def statuses(health, snapshot) -> dict[str, DiagnosticStatus]:
    array = health.make_diagnostics(snapshot, Time(sec=3), 'roma')
    assert array.header.stamp == Time(sec=3)
    return {s.name.removeprefix('roma: '): s for s in array.status}


def test_status_tells_counters_and_percentiles():
    health = Health()
    for latency_ms in range(1, 101):
        health.add_unit(compute_ms=latency_ms / 10, latency_ms=float(latency_ms))
    status = health.make_status(ACTIVE, Time(sec=3))
    assert (status.state, status.units, status.queue_length) == (Status.STATE_ACTIVE, 2, 1)
    assert (status.frames_received, status.audio_gaps) == (60, 1)
    assert status.unit_latency_p50_ms == pytest.approx(50.5)
    assert status.unit_latency_p95_ms == pytest.approx(95.05)
    assert status.unit_compute_p95_ms == pytest.approx(9.505)
    assert [(i.id, i.text) for i in status.instructions] == [('a', 'a bell')]
    assert status.instructions[0].threshold == pytest.approx(0.6)


def test_percentiles_are_of_the_recent_units():
    health = Health()
    for latency_ms in [1000.0] * 100 + [10.0] * 600:
        health.add_unit(compute_ms=1.0, latency_ms=latency_ms)
    assert health.make_status(ACTIVE, Time()).unit_latency_p95_ms == 10.0


def test_all_is_well():
    health = Health()
    for _ in range(2):
        told = statuses(health, ACTIVE)
    assert set(told) == {'model', 'camera', 'microphone', 'inference'}
    assert {s.level for s in told.values()} == {DiagnosticStatus.OK}
    assert {v.key: v.value for v in told['inference'].values}['cache'] == '200 of 1000 tokens'


@pytest.mark.parametrize(
    ('name', 'change', 'level', 'message'),
    [
        ('camera', {'image_silence_s': 5.0}, DiagnosticStatus.ERROR, 'nothing on /image for 5 s'),
        ('microphone', {'audio_silence_s': 4.0}, DiagnosticStatus.ERROR, 'nothing on /audio'),
        (
            'camera',
            {'inputs': replace(ACTIVE.inputs, frames_rejected=3)},
            DiagnosticStatus.WARN,
            '3 messages could not be decoded',
        ),
        (
            'microphone',
            {'inputs': replace(ACTIVE.inputs, audio_chunks_late=2)},
            DiagnosticStatus.WARN,
            '2 messages came after their unit was closed',
        ),
        (
            'inference',
            {'worker': replace(ACTIVE.worker, units_dropped=4)},
            DiagnosticStatus.WARN,
            'dropped 4 units',
        ),
        ('inference', {'error': 'MemoryError: full'}, DiagnosticStatus.ERROR, 'MemoryError: full'),
        (
            'model',
            {'state': Status.STATE_ERROR, 'detail': 'no such model'},
            DiagnosticStatus.ERROR,
            'no such model',
        ),
    ],
)
def test_what_is_wrong_is_named_while_it_is(name, change, level, message):
    health = Health()
    statuses(health, ACTIVE)
    wrong = replace(ACTIVE, **change)
    told = statuses(health, wrong)
    assert told[name].level == level
    assert message in told[name].message
    assert {s.level for n, s in told.items() if n != name} == {DiagnosticStatus.OK}
    healed = replace(wrong, image_silence_s=0.0, audio_silence_s=0.0, error='')
    if name != 'model':  # counters that no longer grow are history
        assert statuses(health, healed)[name].level == DiagnosticStatus.OK


def test_without_a_pipeline_only_the_model_is_told_of():
    loading = Snapshot(state=Status.STATE_LOADING, detail='loading the model')
    told = statuses(Health(), loading)
    assert [s.message for s in told.values()] == ['loading the model']
    assert Health().make_status(loading, Time()).unit_latency_p95_ms == 0.0
