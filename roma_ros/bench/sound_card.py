"""A sound card without hardware: two pipes behind ALSA's file plugin."""

import contextlib
import fcntl
from io import FileIO
import os
from pathlib import Path
import threading
import time
from types import TracebackType

import numpy as np
import numpy.typing as npt

#: Names by which the nodes find the devices.
MICROPHONE, LOUDSPEAKER = 'bench_microphone', 'bench_loudspeaker'

_CONFIG = """
pcm.!default {{ type null }}
ctl.!default {{ type null }}
pcm.{microphone} {{
  type file
  slave.pcm {{ type null }}
  file /dev/null
  infile "{sound_in}"
  format raw
  hint {{ show on description "a microphone" }}
}}
pcm.{loudspeaker} {{
  type file
  slave.pcm {{ type null }}
  file "{sound_out}"
  format raw
  hint {{ show on description "a loudspeaker" }}
}}
"""
_CHUNK_S = 0.02
#: What the card keeps for who is slow to record: 1.4 s of 48 kHz stereo.
_BUFFER_BYTES = 2**18


class SoundCard:
    """
    Gives samples to who records, again and again, and takes what is played, at a card's pace.

    :param folder: takes the pipes, and ALSA's configuration.
    :param samples: int16 ``[n, channels]``, what the microphone hears.
    :param rate_hz: of those.
    :param played_rate_hz: samples a second that the loudspeaker takes, mono.
    """

    def __init__(
        self,
        folder: Path,
        samples: npt.NDArray[np.int16],
        *,
        rate_hz: int,
        played_rate_hz: int,
    ) -> None:
        self._in, self._out = folder / 'sound_in', folder / 'sound_out'
        self.config = folder / 'asound.conf'  #: for ``ALSA_CONFIG_PATH``
        self._samples = samples
        self._rate_hz = rate_hz
        self._played_rate_hz = played_rate_hz
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._feed, self._drain)
        ]

    def __enter__(self) -> 'SoundCard':
        for pipe in (self._in, self._out):
            pipe.unlink(missing_ok=True)
            os.mkfifo(pipe)
        self.config.write_text(
            _CONFIG.format(
                microphone=MICROPHONE,
                loudspeaker=LOUDSPEAKER,
                sound_in=self._in,
                sound_out=self._out,
            ),
            encoding='utf-8',
        )
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        if self._threads[0].is_alive():  # nobody may have opened the other end
            os.close(os.open(self._in, os.O_RDONLY | os.O_NONBLOCK))
        for thread in self._threads:
            thread.join(2.0)

    def _feed(self) -> None:
        while not self._stopping.is_set():
            with self._in.open('wb', buffering=0) as pipe:  # waits until somebody records
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _BUFFER_BYTES)
                with contextlib.suppress(BrokenPipeError):  # PortAudio opens it to look at it, too
                    self._feed_into(pipe)

    def _feed_into(self, pipe: FileIO) -> None:
        size = round(_CHUNK_S * self._rate_hz)
        due_s, position = time.monotonic(), 0
        while not self._stopping.is_set():
            chunk = np.take(self._samples, range(position, position + size), axis=0, mode='wrap')
            position = (position + size) % len(self._samples)
            due_s += _CHUNK_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            pipe.write(chunk.tobytes())

    def _drain(self) -> None:
        pipe = os.open(self._out, os.O_RDONLY | os.O_NONBLOCK)
        size = 2 * round(_CHUNK_S * self._played_rate_hz)
        try:
            while not self._stopping.wait(_CHUNK_S):
                try:
                    os.read(pipe, size)
                except BlockingIOError:
                    continue
        finally:
            os.close(pipe)
