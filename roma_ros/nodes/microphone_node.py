"""The node ``microphone``: a sound card to the topic ``audio``."""

from collections.abc import Sequence
import math
from typing import Any

import numpy as np
from rclpy.qos import qos_profile_sensor_data, QoSProfile
from std_msgs.msg import Float32

from ..msg import AudioChunk
from .arrival_clock import ArrivalClock
from .conversions import ns_to_time
from .device import DeviceError, DeviceNode
from .executable import run_node
from .parameter_tables import MicrophoneParameters
from .parameters import declare_parameters, read_parameters
from .portaudio import find_device, import_pyaudio, open_portaudio

#: PortAudio's code for samples that were lost because nobody read them.
_INPUT_OVERFLOWED = -9981
_BYTES_PER_SAMPLE = 2
#: How often the level is told [s].
_LEVEL_PERIOD_S = 0.1


class MicrophoneNode(DeviceNode):
    """
    Publishes 16-bit chunks with the capture time of their first sample, and their level.

    :raises ValueError: when PyAudio is missing or a parameter is wrong.
    """

    def __init__(self) -> None:
        super().__init__('microphone')
        declare_parameters(self, MicrophoneParameters)
        self._settings = read_parameters(self, MicrophoneParameters)
        self._pyaudio = import_pyaudio()
        self._publisher = self.create_publisher(AudioChunk, 'audio', QoSProfile(depth=100))
        self._levels: list[float] = []  # of the newest chunks
        self._level = self.create_publisher(Float32, '~/level', qos_profile_sensor_data)
        self.start(retry_max_s=self._settings.retry_max_s)

    def capture(self) -> None:
        """Read the sound card until the node stops."""
        with open_portaudio(self._pyaudio) as audio:
            self._capture(audio)

    def _capture(self, audio: Any) -> None:
        parameters = self._settings
        info = find_device(audio, parameters.device, direction='Input')
        rate_hz = parameters.sample_rate or int(info['defaultSampleRate'])
        chunk = round(parameters.chunk_s * rate_hz)
        try:
            stream = audio.open(
                rate=rate_hz,
                channels=parameters.channels,
                format=self._pyaudio.paInt16,
                input=True,
                input_device_index=info['index'],
                frames_per_buffer=chunk,
            )
        except (OSError, ValueError) as error:
            raise DeviceError(
                f'cannot open {info["name"]!r} with {rate_hz} Hz and {parameters.channels} '
                f'channels: {error}; it offers {info["maxInputChannels"]} channels and '
                f'{info["defaultSampleRate"]:.0f} Hz'
            ) from error
        try:
            self.opened(f'{info["name"]} ({rate_hz} Hz, {parameters.channels} channels)')
            self._publish_from(stream, rate_hz, chunk)
        finally:
            stream.close()

    def _publish_from(self, stream: Any, rate_hz: int, chunk: int) -> None:
        clock = ArrivalClock(rate_hz)
        message = AudioChunk(
            sample_rate=rate_hz,
            channels=self._settings.channels,
            sample_format=AudioChunk.FORMAT_S16,
        )
        message.header.frame_id = self._settings.frame_id
        frame_bytes = self._settings.channels * _BYTES_PER_SAMPLE
        while not self.stopping.is_set():
            try:
                data = stream.read(chunk)
            except OSError as error:
                if error.errno != _INPUT_OVERFLOWED:
                    raise DeviceError(f'lost {self.device_name}: {error}') from error
                lost = clock.skip_lost(self.get_clock().now().nanoseconds)
                self.counters['overflows'] += 1
                self.counters['samples lost'] += lost
                continue
            arrival_ns = self.get_clock().now().nanoseconds
            message.first_sample = clock.num_samples
            stamp_ns = clock.stamp_ns(len(data) // frame_bytes, arrival_ns)
            message.header.stamp = ns_to_time(stamp_ns)
            message.data = data
            self._publisher.publish(message)
            self._note_level(data)
            self.count_message()
            self.counters['clock jumps'] = clock.num_jumps

    def _note_level(self, data: bytes) -> None:
        self._levels.append(level_dbfs(data))
        num_chunks = round(_LEVEL_PERIOD_S / self._settings.chunk_s)
        if len(self._levels) >= max(1, num_chunks):
            level = max(self._levels)
            self._levels.clear()
            self._level.publish(Float32(data=level))
            self.values['level [dBFS]'] = f'{level:.1f}'


def level_dbfs(data: bytes) -> float:
    """Return the level of 16-bit samples against full scale [dBFS]; -120 for silence."""
    samples = np.frombuffer(data, dtype='<i2').astype(np.float32) / 32768
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    return 10 * math.log10(max(power, 1e-12))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(MicrophoneNode, args)
