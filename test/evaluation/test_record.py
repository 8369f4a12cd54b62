import numpy as np
import pytest

from roma_ros.evaluation.inputs import THUMBNAIL_WIDTH_PX, WAVEFORM_BIN_NS
from roma_ros.evaluation.record import read_record

SECOND_NS = 10**9


@pytest.fixture(scope='module')
def record(stream_path):
    return read_record(stream_path)


def since_begin_s(record, stamp_ns):
    return (stamp_ns - record.start_ns) / SECOND_NS


def test_scores_are_read_with_their_units(record):
    assert len(record.scores) == 40
    assert [score.unit_index for score in record.scores[::2]] == list(range(20))
    triggered = [(s.instruction_id, s.unit_index) for s in record.scores if s.triggered]
    assert triggered == [('default', 4), ('cyclist', 9)]
    score = record.scores[-1]
    assert (score.instruction_id, score.kind, score.flags) == ('default', 1, 0)
    assert score.end_ns - score.start_ns == SECOND_NS
    assert score.latency_ms == 490.0
    assert score.compute_ms == 119.0
    assert score.threshold == pytest.approx(0.6)
    assert {s.unit_index for s in record.scores if s.flags} == {12}


def test_segments_are_joined_to_utterances(record):
    first, second = record.utterances
    assert first.text == '<script>alert("x")</script> A taxi passes & stops.'
    assert (first.num_segments, first.final, first.kind) == (2, True, 1)
    assert since_begin_s(record, first.start_ns) == 4
    assert since_begin_s(record, first.end_ns) == 6
    assert first.latency_ms == 404.0
    assert (second.text, second.instruction_id) == ('A cyclist waits at the crossing.', 'cyclist')


def test_highlight_is_as_it_stood_at_last(record):
    (highlight,) = record.highlights
    assert (highlight.id, highlight.instruction, highlight.closed) == (1, 'a cyclist', True)
    assert since_begin_s(record, highlight.start_ns) == 8
    assert since_begin_s(record, highlight.end_ns) == 10
    assert highlight.score == pytest.approx(0.88)


def test_status_is_the_newest_and_instructions_are_kept(record):
    assert record.status['units'] == 20
    assert record.status['frames_received'] == 199
    assert record.status['engine'] == 'torch'
    assert record.instructions == {
        'cyclist': (2, 'a cyclist'),
        'default': (1, 'what <b>happens</b>'),
    }


def test_counters_are_those_of_the_active_node(record_writer):
    writer, path = record_writer
    for stamp, (state, units) in enumerate(((2, 0), (4, 7), (4, 8), (3, 0))):
        writer.write('/roma/status', 'roma_ros/msg/Status', stamp, state=state, units=units)
    writer.finish()
    assert read_record(path).status['units'] == 8


def test_images_are_counted_and_thinned_out(record):
    cv2 = pytest.importorskip('cv2')
    assert record.num_frames == 200
    stamps_s = [since_begin_s(record, item.stamp_ns) for item in record.thumbnails]
    assert stamps_s == [float(t) for t in range(0, 20, 2)]
    picture = cv2.imdecode(np.frombuffer(record.thumbnails[3].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (144, THUMBNAIL_WIDTH_PX, 3)


def test_waveform_is_the_sound_with_its_gap(record):
    waveform = record.waveform
    times_s = (
        waveform.start_ns - record.start_ns + np.arange(len(waveform.low)) * WAVEFORM_BIN_NS
    ) / SECOND_NS
    assert len(times_s) == 400
    missing = times_s[np.isnan(waveform.low)]
    assert (missing.min(), missing.max()) == pytest.approx((12.0, 12.25))
    assert np.isnan(waveform.low).sum() == 6
    loud = times_s[np.nan_to_num(waveform.high) > 0.2]
    assert loud[0] == pytest.approx(0.5)
    assert (loud[1], loud[-1]) == pytest.approx((5.0, 5.95))
    assert np.nanmax(waveform.high) == pytest.approx(0.9, abs=1e-3)
    assert np.nanmin(waveform.low) == pytest.approx(-0.3, abs=0.05)


def test_gap_and_clap_are_found(record):
    ((start_ns, end_ns),) = record.audio_gaps_ns
    assert since_begin_s(record, start_ns) == 12.0
    assert since_begin_s(record, end_ns) == 12.3
    assert since_begin_s(record, record.clap.flash_ns) == 0.5
    assert record.clap.offset_ms == 0.0
    assert since_begin_s(record, record.end_ns) == 20


def test_every_sample_format_reads_the_same(record_writer):
    writer, path = record_writer
    wave = np.array([[0.5, -0.5], [0.25, 0.75], [-1.0, -0.5]])
    formats = {
        1: np.round(wave * 128 + 128).astype('u1'),
        2: (wave * 2**15).astype('<i2'),
        3: (wave * 2**31).astype('<i4'),
        4: wave.astype('<f4'),
    }
    for index, (number, data) in enumerate(formats.items()):
        writer.write(
            '/audio',
            'roma_ros/msg/AudioChunk',
            index * SECOND_NS,
            sample_rate=8_000,
            channels=2,
            sample_format=number,
            first_sample=3 * index,
            data=np.frombuffer(data.tobytes(), np.uint8),
        )
    writer.finish()
    record = read_record(path)
    for index in range(4):
        position = index * SECOND_NS // WAVEFORM_BIN_NS
        assert record.waveform.low[position] == pytest.approx(-0.75, abs=1e-4)
        assert record.waveform.high[position] == pytest.approx(0.5, abs=1e-4)


def test_second_camera_and_broken_messages_do_no_harm(record_writer):
    writer, path = record_writer
    image, chunk = 'sensor_msgs/msg/CompressedImage', 'roma_ros/msg/AudioChunk'
    broken = np.arange(9, dtype=np.uint8)
    writer.write('/front/image/compressed', image, SECOND_NS, format='jpeg', data=broken)
    writer.write('/front/image/compressed', image, 2 * SECOND_NS, data=broken[:0])
    writer.write('/back/image/compressed', image, SECOND_NS, format='jpeg', data=broken)
    writer.write('/audio', chunk, SECOND_NS, sample_rate=0, channels=1, sample_format=2)
    writer.write('/audio', chunk, SECOND_NS, sample_rate=8000, channels=1, sample_format=9)
    writer.finish()
    record = read_record(path)
    assert record.num_frames == 2
    assert (record.thumbnails, record.waveform, record.clap) == ([], None, None)


def test_record_that_was_cut_off_reads_as_far_as_it_goes(stream_path, tmp_path):
    data = stream_path.read_bytes()
    path = tmp_path / 'cut.mcap'
    path.write_bytes(data[: len(data) * 2 // 3])
    record = read_record(path)
    assert not record.complete
    assert len(record.waveform.low) > 300
    assert not record.scores
    assert read_record(stream_path).complete


def test_other_file_is_refused(tmp_path):
    path = tmp_path / 'stream.mcap'
    path.write_bytes(b'not a record at all')
    with pytest.raises(ValueError, match='not an MCAP file'):
        read_record(path)
