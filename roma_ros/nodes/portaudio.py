"""PortAudio, quietly."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from typing import Any

from .device import DeviceError


def import_pyaudio() -> Any:
    """
    Import PyAudio.

    :raises ValueError: when it is missing, with what to install.
    """
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
def open_portaudio(pyaudio: Any) -> Iterator[Any]:
    """Open PortAudio, a new one each time: it looks for devices once."""
    with _quiet_stderr():  # it tries JACK and all of ALSA's names, and prints
        audio = pyaudio.PyAudio()
    try:
        yield audio
    finally:
        audio.terminate()


def find_device(audio: Any, wanted: str, *, direction: str) -> dict[str, Any]:
    """
    Find a device.

    :param wanted: its number, or a part of its name; empty: the default one.
    :param direction: ``Input`` or ``Output``.
    :raises DeviceError: when there is none; with those that there are.
    """
    count = f'max{direction}Channels'
    all_infos = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
    infos = [info for info in all_infos if info[count] > 0]
    if wanted == '':
        try:
            return getattr(audio, f'get_default_{direction.lower()}_device_info')()
        except OSError:
            found = None
    elif wanted.isdecimal():
        found = next((i for i in infos if i['index'] == int(wanted)), None)
    else:
        found = next((i for i in infos if wanted.lower() in i['name'].lower()), None)
    if found is None:
        names = ', '.join(f'{i["index"]}: {i["name"]!r}' for i in infos) or 'none'
        what = f'no {direction.lower()} device {wanted!r}'
        if not wanted:
            what = f'no default {direction.lower()} device'
        raise DeviceError(f'{what}; there are: {names}')
    return found


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
