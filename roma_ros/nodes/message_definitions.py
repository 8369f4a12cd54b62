"""Message types by name: their classes, and their definitions with all that they contain."""

from importlib import import_module
import re
from typing import Any

from ..share import share_folder

_PRIMITIVES = re.compile(r'bool|byte|char|float(32|64)|u?int(8|16|32|64)|w?string')
_SEPARATOR = '=' * 80


def import_message(name: str) -> Any:
    """
    Import a message class.

    :param name: as in ``sensor_msgs/msg/Image``.
    :raises ValueError: when the name is malformed, or there is no such message.
    """
    match name.split('/'):
        case [package, 'msg', message]:
            pass
        case _:
            raise ValueError(f'message type is {name!r}, expected one like sensor_msgs/msg/Image')
    try:
        return getattr(import_module(f'{package}.msg'), message)
    except (ImportError, AttributeError) as error:
        raise ValueError(f'there is no message {name!r}; is {package} installed?') from error


def message_definition(name: str) -> str:
    """
    Return a message's definition and those of all messages in it, as MCAP's ``ros2msg`` wants it.

    :param name: as in ``sensor_msgs/msg/Image``.
    :raises FileNotFoundError: when a package has no definitions installed.
    """
    texts = {name: _read_definition(name)}
    pending = [name]
    while pending:
        for part in _contained(pending.pop(), texts):
            if part not in texts:
                texts[part] = _read_definition(part)
                pending.append(part)
    first, *rest = texts
    parts = [texts[first]]
    parts += [f'{_SEPARATOR}\nMSG: {_short(part)}\n{texts[part]}' for part in rest]
    return ''.join(parts)


def _read_definition(name: str) -> str:
    package, _, message = name.split('/')
    path = share_folder(package) / 'msg' / f'{message}.msg'
    text = path.read_text(encoding='utf-8')
    return text if text.endswith('\n') else text + '\n'


def _contained(name: str, texts: dict[str, str]) -> list[str]:
    package = name.split('/')[0]
    parts = []
    for line in texts[name].splitlines():
        words = line.split('#')[0].split()
        if not words:
            continue
        field = re.split(r'\[|<=', words[0])[0]  # without array and string bounds
        if _PRIMITIVES.fullmatch(field):
            continue
        owner, _, message = field.rpartition('/')
        parts.append(f'{owner.removesuffix("/msg") or package}/msg/{message}')
    return parts


def _short(name: str) -> str:
    package, _, message = name.split('/')
    return f'{package}/{message}'
