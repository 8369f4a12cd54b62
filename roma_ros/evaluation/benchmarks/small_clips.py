"""Clips that say by themselves which second of them is shown and heard."""

from pathlib import Path

import numpy as np

#: Sample rate [Hz] and frames a second of the clips.
RATE_HZ, FPS = 16_000, 10


def write_clip(path: Path, seconds: float, *, sound: bool = True) -> Path:
    """
    Write a clip: each second has a grey level and a loudness of its own.

    :param path: of the file; its ending says the container. Its folder is made.
    :param seconds: its length.
    :param sound: False: silence.
    :return: the path.
    :raises ImportError: when PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError('clips are written with PyAV: pip install av') from error

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        video = container.add_stream('libx264', rate=FPS)
        video.width, video.height, video.pix_fmt = 96, 64, 'yuv420p'
        video.options = {'preset': 'ultrafast', 'bf': '0'}
        audio = container.add_stream('flac', rate=RATE_HZ, layout='mono', format='s16')
        for index in range(round(seconds * FPS)):
            picture = np.full((64, 96, 3), 30 + 20 * (index // FPS), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
            step = RATE_HZ // FPS
            amplitude = 1000 * (1 + index // FPS) * sound
            samples = np.full((1, step), amplitude, np.int16)
            samples[:, ::2] *= -1
            piece = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
            piece.sample_rate, piece.pts = RATE_HZ, index * step
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path
