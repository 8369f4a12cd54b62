"""Units from media files that are made here, with known pictures and sound at known times."""

from fractions import Fraction
from pathlib import Path
import subprocess
import sys

import av
import numpy as np
import pytest

from roma_ros.units import MultimodalUnit, UnitFlag
from roma_ros.units.media_file import MediaFile, units_from_media
from roma_ros.units.recording import TimedChunk, TimedFrame


def picture(number: int, shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Grey tells the number; the upper left corner is brighter."""
    image = np.full((*shape, 3), 20 + 4 * (number % 50), np.uint8)
    image[: shape[0] // 4, : shape[1] // 4] = 250
    return image


def sound(time_s: np.ndarray) -> np.ndarray:
    """A tone whose frequency rises, so that no two moments are alike."""
    return 0.5 * np.sin(2 * np.pi * (200 + 60 * time_s) * time_s)


def write_media(
    path: Path,
    *,
    seconds: float,
    frame_times_s: list[float] | None = None,
    rate_hz: int | None = 44_100,
    shape: tuple[int, int] = (48, 64),
    sound_begin_s: float = 0.0,
    video_codec: str = 'libx264',
    audio_codec: str = 'pcm_s16le',
    key_frames: int | None = None,
) -> Path:
    """Write a file in which all the sound lies behind all the video."""
    with av.open(str(path), 'w') as container:
        video = audio = None
        if frame_times_s is not None:
            options = {'crf': '10'} | ({'g': str(key_frames)} if key_frames else {})
            video = container.add_stream(video_codec, rate=30, options=options)
            video.width, video.height = shape[1], shape[0]
            video.pix_fmt = 'yuv420p' if video_codec == 'libx264' else 'bgr0'
            video.codec_context.time_base = Fraction(1, 1000)
        if rate_hz is not None:
            audio = container.add_stream(audio_codec, rate=rate_hz)
            audio.layout = 'mono'
        packets = []
        for number, time_s in enumerate(frame_times_s or []):
            frame = av.VideoFrame.from_ndarray(picture(number, shape), format='rgb24')
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            packets += video.encode(frame)
        if video is not None:
            packets += video.encode(None)
        if audio is not None:
            for first in range(0, int((seconds - sound_begin_s) * rate_hz), 1024):
                count = min(1024, int((seconds - sound_begin_s) * rate_hz) - first)
                time_s = sound_begin_s + (first + np.arange(count)) / rate_hz
                values = (sound(time_s) * 32767).astype(np.int16)[None, :]
                chunk = av.AudioFrame.from_ndarray(values, format='s16', layout='mono')
                chunk.sample_rate = rate_hz
                chunk.pts = round(sound_begin_s * rate_hz) + first
                chunk.time_base = Fraction(1, rate_hz)
                packets += audio.encode(chunk)
            packets += audio.encode(None)
        for packet in packets:
            container.mux(packet)
    return path


def numbers(unit: MultimodalUnit) -> list[int]:
    """Which pictures the frames of a unit are."""
    return [round((float(frame[-8:, -8:].mean()) - 20) / 4) for frame in unit.frames]


def assert_sounds_right(units: list[MultimodalUnit], *, end_s: float, begin_s: float = 0) -> None:
    audio = np.concatenate([unit.audio for unit in units])
    time_s = np.arange(len(audio)) / 16_000
    inner = (time_s > begin_s + 0.01) & (time_s < end_s - 0.01)
    np.testing.assert_allclose(audio[inner], sound(time_s[inner]), atol=2e-3)


@pytest.mark.parametrize('rate_hz', [8000, 44_100, 48_000])
def test_video_with_sound_that_lies_behind_it(tmp_path: Path, rate_hz: int) -> None:
    times_s = [n / 30 for n in range(120)]
    path = write_media(tmp_path / 'a.mkv', seconds=4, frame_times_s=times_s, rate_hz=rate_hz)
    units = list(units_from_media(path))

    assert [unit.flags for unit in units] == [UnitFlag.NONE] * 4
    assert [unit.start_ns for unit in units] == [n * 10**9 for n in range(4)]
    assert [numbers(unit) for unit in units] == [[0, 15], [30, 45], [10, 25], [40, 5]]
    assert_sounds_right(units, end_s=4)
    assert not any(unit.audio_gaps_ns for unit in units)


def test_aac_in_mp4_is_in_place(tmp_path: Path) -> None:
    times_s = [n / 25 for n in range(75)]
    path = write_media(
        tmp_path / 'a.mp4', seconds=3, frame_times_s=times_s, rate_hz=48_000, audio_codec='aac'
    )
    units = list(units_from_media(path))

    assert len(units) == 3
    audio = np.concatenate([unit.audio for unit in units])
    exact = sound(np.arange(48_000) / 16_000)
    lags = range(-80, 81)
    match = [np.dot(audio[1000 + lag : 40_000 + lag], exact[1000:40_000]) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 1


def test_video_alone_and_sound_alone(tmp_path: Path) -> None:
    times_s = [n / 30 for n in range(75)]
    path = write_media(tmp_path / 'v.mp4', seconds=2.5, frame_times_s=times_s, rate_hz=None)
    units = list(units_from_media(path))
    assert [unit.flags for unit in units] == [UnitFlag.NO_AUDIO] * 3
    assert [numbers(unit) for unit in units] == [[0, 15], [30, 45], [10, 24]]

    units = list(units_from_media(write_media(tmp_path / 'a.wav', seconds=2.5)))
    assert [unit.flags for unit in units] == [UnitFlag.NO_VIDEO] * 3
    assert units[2].audio_gaps_ns == ((2_500_000_000, 3_000_000_000),)
    assert_sounds_right(units, end_s=2.5)


def test_sound_that_begins_late_is_not_moved(tmp_path: Path) -> None:
    times_s = [n / 30 for n in range(150)]
    path = write_media(
        tmp_path / 'a.mkv', seconds=5, frame_times_s=times_s, rate_hz=16_000, sound_begin_s=2.25
    )
    units = list(units_from_media(path))

    no_audio = UnitFlag.NO_AUDIO
    assert [unit.flags for unit in units] == [no_audio, no_audio, UnitFlag.NONE] + [
        UnitFlag.NONE
    ] * 2
    assert units[2].audio_gaps_ns == ((2_000_000_000, 2_250_000_000),)
    assert_sounds_right(units, begin_s=2.25, end_s=5)


def test_a_variable_frame_rate_is_read_by_its_times(tmp_path: Path) -> None:
    times_s = [0, 0.1, 0.45, 0.9, 1.0, 1.3, 1.62, 1.7, 3.2, 3.4]
    path = write_media(tmp_path / 'v.mkv', seconds=4, frame_times_s=times_s, rate_hz=None)
    units = list(units_from_media(path))

    # The second from 2.0 s has no frame, and the last one before it is 0.3 s old: it stands in.
    assert [numbers(unit) for unit in units] == [[0, 2], [4, 6], [7, 7], [8, 9]]
    assert [unit.frame_stamps_ns for unit in units][1] == (1_000_000_000, 1_620_000_000)
    assert UnitFlag.REPEATED_FRAME in units[2].flags


@pytest.mark.parametrize('shape', [(50, 66), (31, 47)])
def test_odd_sizes(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = write_media(
        tmp_path / 'v.mkv',
        seconds=1,
        frame_times_s=[0, 0.5],
        rate_hz=None,
        shape=shape,
        video_codec='ffv1',
    )
    (unit,) = units_from_media(path)

    assert unit.frames.shape == (2, *shape, 3)
    np.testing.assert_array_equal(unit.frames[1], picture(1, shape))


@pytest.mark.parametrize(
    ('degrees', 'corner'), [(90, 'lower left'), (180, 'lower right'), (270, 'upper right')]
)
def test_rotated_video_is_turned_upright(tmp_path: Path, degrees: int, corner: str) -> None:
    source = write_media(tmp_path / 'v.mp4', seconds=1, frame_times_s=[0, 0.5], rate_hz=None)
    path = tmp_path / 'rotated.mp4'
    set_rotation(source, path, degrees)
    (unit,) = units_from_media(path)

    assert unit.frames.shape[1:3] == ((64, 48) if degrees % 180 else (48, 64))
    vertical, horizontal = corner.split()
    rows = slice(None, 5) if vertical == 'upper' else slice(-5, None)
    columns = slice(None, 5) if horizontal == 'left' else slice(-5, None)
    assert unit.frames[0][rows, columns].mean() > 200


def set_rotation(source: Path, target: Path, degrees: int) -> None:
    """Write the rotation into the matrix of the track header, counter-clockwise."""
    data = bytearray(source.read_bytes())
    at = data.index(b'tkhd') + 4 + 4 + 20 + 16  # version and flags, times and ids, layer to volume
    sine, cosine = {90: (1, 0), 180: (0, -1), 270: (-1, 0)}[degrees]
    # Rows (a b u) (c d v); positive angles of the matrix are clockwise.
    matrix = (cosine, -sine, 0, sine, cosine, 0)
    for number, value in enumerate(matrix):
        data[at + 4 * number : at + 4 * number + 4] = (value * 65_536).to_bytes(
            4, 'big', signed=True
        )
    target.write_bytes(data)


def test_reading_is_lazy_and_in_order(tmp_path: Path) -> None:
    times_s = [n / 30 for n in range(120)]
    path = write_media(tmp_path / 'a.mkv', seconds=4, frame_times_s=times_s)
    file = MediaFile(path)
    assert (file.has_video, file.has_audio) == (True, True)
    ends_ns = [item.end_ns for item in file]
    assert ends_ns == sorted(ends_ns)
    assert sum(isinstance(item, TimedFrame) for item in file) == 120
    assert sum(len(i.samples) for i in file if isinstance(i, TimedChunk)) == 4 * 44_100

    # The first unit comes before the file is read to its end.
    units = units_from_media(path)
    next(units)
    units.close()


@pytest.mark.parametrize(
    ('name', 'audio_codec', 'tolerance'),
    [('a.mkv', 'pcm_s16le', 0.0), ('a.mp4', 'aac', 1e-3), ('a.avi', 'pcm_s16le', 0.0)],
)
def test_reading_may_begin_later(
    tmp_path: Path, name: str, audio_codec: str, tolerance: float
) -> None:
    times_s = [i / 10 for i in range(100)]
    path = write_media(
        tmp_path / name,
        seconds=10,
        frame_times_s=times_s,
        audio_codec=audio_codec,
        key_frames=5,
    )
    start_ns = 7_000_000_000

    def frames_and_sound(start_s: float) -> tuple[dict[int, np.ndarray], np.ndarray, float]:
        frames, sound_ = {}, np.full(10 * 44_100, np.nan)
        first_ns = 10**18
        for item in MediaFile(path).read(start_s=start_s):
            first_ns = min(first_ns, item.stamp_ns)
            if isinstance(item, TimedFrame):
                if item.stamp_ns >= start_ns:
                    frames[item.stamp_ns] = item.decode()
            else:
                first = round(item.stamp_ns * 44_100 / 10**9)
                piece = item.samples[: len(sound_) - first, 0]
                sound_[first : first + len(piece)] = piece
        return frames, sound_[7 * 44_100 : 9 * 44_100], first_ns / 10**9

    whole, part = frames_and_sound(0.0), frames_and_sound(7.0)
    assert whole[0].keys() == part[0].keys()
    assert len(part[0]) == 30
    assert all((whole[0][stamp] == part[0][stamp]).all() for stamp in whole[0])
    # Matroska tells times in milliseconds: where sound is entered, that is how well it is placed.
    middle = slice(100, -100)
    shifts = range(-23, 24) if path.suffix == '.mkv' else (0,)
    errors = [np.abs(whole[1] - np.roll(part[1], n))[middle].max() for n in shifts]
    assert min(errors) <= tolerance
    assert whole[2] == 0
    assert 3 < part[2] <= 7


def test_corrupt_packets_are_left_out(tmp_path: Path) -> None:
    times_s = [n / 30 for n in range(120)]
    path = write_media(tmp_path / 'a.mkv', seconds=4, frame_times_s=times_s, video_codec='ffv1')
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    units = list(units_from_media(path))

    assert [unit.index for unit in units] == list(range(len(units)))
    assert 3 <= len(units) <= 4
    assert numbers(units[0]) == [0, 15]


def test_a_file_that_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    times_s = [n / 30 for n in range(120)]
    path = write_media(tmp_path / 'a.mkv', seconds=4, frame_times_s=times_s, rate_hz=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert 1 <= len(list(units_from_media(path))) <= 3


def test_what_is_no_media_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no media file'):
        units_from_media(tmp_path / 'none.mp4')
    (tmp_path / 'text.mp4').write_bytes(b'no media at all' * 100)
    with pytest.raises(ValueError, match='not a media file'):
        units_from_media(tmp_path / 'text.mp4')
    with pytest.raises(FileNotFoundError, match='no media file'):
        units_from_media(tmp_path)


def test_subtitles_alone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'words.srt'
    path.write_text('1\n00:00:00,000 --> 00:00:01,000\nhello\n')
    with pytest.raises(ValueError, match='neither video nor audio'):
        units_from_media(path)


def test_without_pyav_the_error_names_the_package(tmp_path: Path) -> None:
    path = tmp_path / 'a.mp4'
    path.write_bytes(b'')
    code = (
        'import sys; sys.modules["av"] = None\n'
        'from roma_ros.units.media_file import MediaFile\n'
        f'MediaFile({str(path)!r})'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'media files need PyAV: pip install av' in result.stderr
