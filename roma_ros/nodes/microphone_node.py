"""The node ``microphone``: a sound card to the topic ``audio``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import os
from typing import Any

from rclpy.qos import QoSProfile

from ..msg import AudioChunk
from .arrival_clock import ArrivalClock
from .conversions import ns_to_time
from .device import DeviceError, DeviceNode
from .executable import run_node
from .parameter_tables import MicrophoneParameters
from .parameters import declare_parameters, read_parameters

#: PortAudio's code for samples that were lost because nobody read them.
_INPUT_OVERFLOWED = -9981
_BYTES_PER_SAMPLE = 2


class MicrophoneNode(DeviceNode):
    """
    Publishes 16-bit chunks with the capture time of their first sample.

    :raises ValueError: when PyAudio is missing or a parameter is wrong.
    """

    def __init__(self) -> None:
        super().__init__('microphone')
        declare_parameters(self, MicrophoneParameters)
        self._settings = read_parameters(self, MicrophoneParameters)
        self._pyaudio = _import_pyaudio()
        self._publisher = self.create_publisher(AudioChunk, 'audio', QoSProfile(depth=100))
        self.start(retry_max_s=self._settings.retry_max_s)

    def capture(self) -> None:
        """Read the sound card until the node stops."""
        with _quiet_stderr():  # PortAudio tries JACK and all of ALSA's names, and prints
            audio = self._pyaudio.PyAudio()  # a new one each time: it looks for devices once
        try:
            self._capture(audio)
        finally:
            audio.terminate()

    def _capture(self, audio: Any) -> None:
        parameters = self._settings
        info = self._find_device(audio)
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

    def _find_device(self, audio: Any) -> dict[str, Any]:
        wanted = self._settings.device
        infos = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
        inputs = [info for info in infos if info['maxInputChannels'] > 0]
        if wanted == '':
            try:
                return audio.get_default_input_device_info()
            except OSError:
                found = None
        elif wanted.isdecimal():
            found = next((i for i in inputs if i['index'] == int(wanted)), None)
        else:
            found = next((i for i in inputs if wanted.lower() in i['name'].lower()), None)
        if found is None:
            names = ', '.join(f'{i["index"]}: {i["name"]!r}' for i in inputs) or 'none'
            raise DeviceError(
                f'no input device {wanted!r}; there are: {names}'
                if wanted
                else f'no default input device; there are: {names}'
            )
        return found

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
            self.count_message()
            self.counters['clock jumps'] = clock.num_jumps


def _import_pyaudio() -> Any:
    try:
        import pyaudio
    except ImportError as error:
        raise ValueError(
            f'PyAudio cannot be imported ({error}); install it: '
            "'apt install portaudio19-dev' and 'pip install PyAudio==0.2.14', "
            "or 'apt install python3-pyaudio'"
        ) from None
    return pyaudio


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Silence libraries that print, for a moment."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(MicrophoneNode, args)
