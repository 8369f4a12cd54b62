import json
from pathlib import Path
import platform
import re

from roma_ros.evaluation.record import read_record, StreamRecord
from roma_ros.evaluation.summary import summarize, SUMMARY_KEYS


def test_figures_are_those_of_the_record(stream_path):
    summary = summarize(read_record(stream_path), frames_published=200)
    assert list(summary) == list(SUMMARY_KEYS)
    known = {
        'model': 'models/roma-tiny',
        'engine': 'torch',
        'device': 'cpu',
        'complete': True,
        'duration_s': 20.0,
        'units': 20,
        'units_recorded': 20,
        'units_dropped': 0,
        'units_late': 0,
        'unit_latency_p50_ms': 395.0,
        'unit_latency_p95_ms': 480.5,
        'unit_latency_max_ms': 490.0,
        'unit_compute_p50_ms': 110.0,
        'unit_compute_p95_ms': 150.0,
        'real_time_factor': 0.1095,
        'frames_published': 200,
        'frames_received': 199,
        'frames_dropped': 1,
        'frames_recorded': 200,
        'audio_samples_received': 320_000,
        'audio_gaps': 1,
        'audio_gap_ms': 300.0,
        'utterances': 2,
        'utterances_unfinished': 0,
        'highlights': 1,
        'clap_offset_ms': 0.0,
    }
    assert {key: summary[key] for key in known} == known
    assert platform.machine() in summary['machine']
    assert re.fullmatch(r'20\d\d-\d\d-\d\dT[\d:]{8}\+00:00', summary['date'])
    assert json.loads(json.dumps(summary)) == summary


def test_what_cannot_be_known_is_null():
    summary = summarize(StreamRecord(), frames_published=10)
    assert list(summary) == list(SUMMARY_KEYS)
    for key in ('unit_latency_p95_ms', 'real_time_factor', 'frames_dropped', 'clap_offset_ms'):
        assert summary[key] is None
    assert summary['units'] is None
    assert (summary['units_recorded'], summary['utterances'], summary['frames_recorded']) == (
        0,
        0,
        0,
    )


def test_late_units_and_unfinished_utterances_are_counted(record_writer):
    writer, path = record_writer
    for unit in range(3):
        writer.write('/s', 'roma_ros/msg/SpeakScore', 10**9, unit_index=unit, unit_flags=4 + 2)
    writer.write('/u', 'roma_ros/msg/Utterance', 10**9, id=1, text='half')
    writer.finish()
    summary = summarize(read_record(path))
    assert (summary['units_late'], summary['utterances_unfinished']) == (3, 1)
    assert summary['frames_published'] is None


def test_documentation_lists_every_key_with_its_meaning():
    page = (Path(__file__).parents[2] / 'docs' / 'demo.md').read_text()
    rows = dict(re.findall(r'^\| `(\w+)` \| (.+) \|$', page, re.MULTILINE))
    assert rows == SUMMARY_KEYS
