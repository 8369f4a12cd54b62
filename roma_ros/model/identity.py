"""Which model a figure belongs to."""

import hashlib
import json
from pathlib import Path
from typing import Any

#: Larger files are known by so much of their begin and of their end [bytes].
_SAMPLE_BYTES = 64 * 2**20


def model_identity(path: Path, *, quantize: str = '') -> dict[str, Any]:
    """
    Tell which model lies in a folder.

    :param path: of the checkpoint.
    :param quantize: how its weights are rounded when it is loaded; empty: they are not.
    :return: ``name`` of the folder, ``digest`` of its configuration and weights, and
        ``quantize``, where they are rounded.
    """
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.suffix in ('.json', '.safetensors')):
        size = file.stat().st_size
        digest.update(f'{file.name} {size}\n'.encode())
        with file.open('rb') as stream:
            digest.update(stream.read(_SAMPLE_BYTES))
            if size > _SAMPLE_BYTES:
                stream.seek(max(_SAMPLE_BYTES, size - _SAMPLE_BYTES))
                digest.update(stream.read())
    rounded = {'quantize': quantize} if quantize else {}
    return {'name': path.name, 'digest': digest.hexdigest()[:16], **rounded}


def trained_on(path: Path) -> tuple[str, ...] | None:
    """
    Return the data sets that the model has been trained on, as its maker declares them.

    They stand in the checkpoint's ``config.json`` under ``trained_on``, or in the front matter
    of the model card's ``README.md`` under ``datasets``, by the names of ``roma eval --list``.

    :param path: of the checkpoint.
    :return: lower-case names; None where the maker declares nothing.
    """
    config = path / 'config.json'
    declared: Any = None
    if config.is_file():
        declared = json.loads(config.read_text(encoding='utf-8')).get('trained_on')
    card = path / 'README.md'
    if declared is None and card.is_file():
        declared = _front_matter(card.read_text(encoding='utf-8')).get('datasets')
    if declared is None:
        return None
    names = [declared] if isinstance(declared, str) else declared
    return tuple(str(name).lower() for name in names)


def _front_matter(text: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    if not text.startswith('---\n'):
        return {}
    head, mark, _ = text[4:].partition('\n---')
    loaded = yaml.safe_load(head) if mark else {}
    return loaded if isinstance(loaded, dict) else {}
