"""The run in figures: ``summary.json``."""

from collections.abc import Sequence
from datetime import datetime, UTC
import os
import platform
from typing import Any

import numpy as np

from ..units.unit import UnitFlag
from .record import StreamRecord

#: Every key of the summary and what it means. Figures that cannot be known are null.
SUMMARY_KEYS = {
    'date': 'when the summary was made, UTC, ISO 8601',
    'machine': 'system, architecture and number of cores that the process may use',
    'python': 'version of Python',
    'model': 'path of the model, as the node reports it',
    'engine': 'what ran the network: torch, torch-compiled, onnxruntime or tensorrt',
    'device': 'for example cpu, cuda:0',
    'complete': 'the record was closed; false: it ends where the recorder was cut off',
    'duration_s': 'from the first input or unit to the last [s]',
    'units': 'units that the model has seen',
    'units_recorded': 'units whose scores are in the record',
    'units_dropped': 'units that were dropped because inference fell behind',
    'units_late': 'units closed by patience, before every input had passed their end',
    'unit_latency_p50_ms': "from a unit's end (capture time) to its score's publication, median",
    'unit_latency_p95_ms': 'the same, 95th percentile',
    'unit_latency_max_ms': 'the same, worst',
    'unit_compute_p50_ms': 'processing, encoding, step and text of a unit, median of the last 600',
    'unit_compute_p95_ms': 'the same, 95th percentile',
    'real_time_factor': 'mean processing, encoding and step per second of stream, without text',
    'frames_published': 'images in the recording that was played',
    'frames_received': 'images that arrived at the node',
    'frames_dropped': 'published but not received',
    'frames_rejected': 'images that could not be decoded',
    'frames_late': 'images that arrived after their unit was closed',
    'frames_recorded': 'images of the first camera in the record',
    'audio_samples_received': "per channel, at the source's rate",
    'audio_chunks_rejected': 'chunks that could not be decoded',
    'audio_chunks_late': 'chunks that arrived after their unit was closed',
    'audio_gaps': 'spans in the stream without audio, counted by the node',
    'audio_gap_ms': 'spans without audio in the record, together [ms]',
    'clock_jumps': 'jumps of the capture clock',
    'utterances': 'utterances in the record',
    'utterances_unfinished': 'of these, without their last segment',
    'highlights': 'highlights in the record',
    'clap_offset_ms': 'click minus flash in the record; null where no clap was found',
}

# Keys that are the node's own counters, under the same name in its status.
_COUNTERS = (
    'units',
    'units_dropped',
    'frames_received',
    'frames_rejected',
    'frames_late',
    'audio_samples_received',
    'audio_chunks_rejected',
    'audio_chunks_late',
    'audio_gaps',
    'clock_jumps',
)


def summarize(record: StreamRecord, *, frames_published: int | None = None) -> dict[str, Any]:
    """
    Sum up a record.

    :param record: what was recorded.
    :param frames_published: images that the playback sent, where that is known.
    :return: the keys of ``SUMMARY_KEYS``, in their order, ready for JSON.
    """
    status = record.status or {}
    units = {score.unit_index: score for score in record.scores}.values()
    latency_ms = [unit.latency_ms for unit in units]
    compute_ms = [unit.compute_ms for unit in units]
    counters = {key: int(status[key]) if key in status else None for key in _COUNTERS}
    received = counters['frames_received']
    dropped = None
    if frames_published is not None and received is not None:
        dropped = frames_published - received
    gaps_ns = sum(end_ns - start_ns for start_ns, end_ns in record.audio_gaps_ns)
    late = sum(bool(unit.flags & UnitFlag.LATE) for unit in units)
    figures = {
        'date': datetime.now(UTC).isoformat(timespec='seconds'),
        'machine': f'{platform.system()} {platform.machine()}, {num_cores()} cores',
        'python': platform.python_version(),
        'model': status.get('model'),
        'engine': status.get('engine'),
        'device': status.get('device'),
        'complete': record.complete,
        'duration_s': round((record.end_ns - record.start_ns) / 1e9, 3),
        'units_recorded': len(units),
        'units_late': late,
        'unit_latency_p50_ms': _percentile(latency_ms, 50),
        'unit_latency_p95_ms': _percentile(latency_ms, 95),
        'unit_latency_max_ms': _percentile(latency_ms, 100),
        'unit_compute_p50_ms': _rounded(status.get('unit_compute_p50_ms')),
        'unit_compute_p95_ms': _rounded(status.get('unit_compute_p95_ms')),
        'real_time_factor': round(float(np.mean(compute_ms)) / 1000, 4) if compute_ms else None,
        'frames_published': frames_published,
        'frames_dropped': dropped,
        'frames_recorded': record.num_frames,
        'audio_gap_ms': round(gaps_ns / 1e6, 3),
        'utterances': len(record.utterances),
        'utterances_unfinished': sum(not item.final for item in record.utterances),
        'highlights': len(record.highlights),
        'clap_offset_ms': round(record.clap.offset_ms, 3) if record.clap else None,
        **counters,
    }
    return {key: figures[key] for key in SUMMARY_KEYS}


def num_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _percentile(values: Sequence[float], q: float) -> float | None:
    return round(float(np.percentile(values, q)), 1) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 1)
