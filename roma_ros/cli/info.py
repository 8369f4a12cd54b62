"""
Show what the package and a model are made of.

::

    roma info
    roma info --model /path/to/checkpoint
    roma info --model EurekaTian/ROMA
"""

import argparse
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
import json
from math import prod
from pathlib import Path
import sys

from .. import __version__
from ..share import share_folder

_FRAME_SIZE = (480, 640)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Print the package's and a model's figures.

    :param argv: options.
    :return: exit code: 0, or 1 when the model cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog='roma info', description='Show what the package and a model are made of.'
    )
    parser.add_argument(
        '--model',
        metavar='MODEL',
        help='its folder, or owner/name of a fetched one; else roma-tiny',
    )
    options = parser.parse_args(argv)
    try:
        from ..model.store import find_checkpoint

        folder = find_checkpoint(options.model or share_folder() / 'models' / 'roma-tiny')
        lines = [*_package(), *_model(folder), *_thresholds(folder), *_interfaces()]
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f'roma info: {error}', file=sys.stderr)
        return 1
    for name, text in lines:
        print(f'{name:<14}{text}')
    return 0


def _package() -> Iterator[tuple[str, str]]:
    yield 'roma_ros', f'{__version__}, Python {sys.version.split()[0]}'
    for name in ('torch', 'transformers', 'rclpy'):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, 'not installed; see roma doctor'


def _model(folder: Path) -> Iterator[tuple[str, str]]:
    from tokenizers import Tokenizer

    from ..model.config import read_config, TokenIds
    from ..model.positions import unit_positions
    from ..model.processor import num_audio_tokens, UnitProcessor
    from ..runtime.factory import ENGINES

    tokenizer_path = folder / 'tokenizer.json'
    if not tokenizer_path.is_file():
        raise ValueError(f'no model: a folder with config.json and tokenizer.json, got {folder}')
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_path))
    # The library raises nothing narrower.
    except Exception as error:
        raise ValueError(f'broken tokenizer ({error}): {tokenizer_path}') from error
    config = read_config(folder, TokenIds.lookup(tokenizer.token_to_id))
    num_parameters, num_head, dtypes, num_bytes = _weights(folder)
    text, vision, audio = (
        config.thinker.text_config,
        config.thinker.vision_config,
        config.thinker.audio_config,
    )
    processor = UnitProcessor(config.processor)
    height, width = processor.target_size(*_FRAME_SIZE)
    token_px = config.processor.patch_size * config.processor.merge_size
    grid = (1, height // config.processor.patch_size, width // config.processor.patch_size)
    num_video = (height // token_px) * (width // token_px)
    num_audio = num_audio_tokens(config.processor.sampling_rate // config.processor.hop_length)
    _, num_positions = unit_positions(grid, num_audio, 0)
    yield 'model', str(folder)
    yield (
        'weights',
        f'{num_parameters / 1e6:,.2f} M, {", ".join(sorted(dtypes))}, '
        f'{num_bytes / 1e6:,.1f} MB; speak head {num_head / 1e3:,.1f} k',
    )
    yield (
        'decoder',
        f'{text.num_hidden_layers} layers, width {text.hidden_size}, '
        f'{text.num_attention_heads} heads, {text.num_key_value_heads} key/value heads, '
        f'vocabulary {text.vocab_size:,}',
    )
    yield 'vision tower', f'{vision.depth} layers, width {vision.hidden_size}'
    yield 'audio tower', f'{audio.encoder_layers} layers, width {audio.d_model}'
    yield (
        'speak head',
        f'mixes the last {config.speak_head.num_layers_mixed} hidden states, '
        f'hidden layer {config.speak_head.width}',
    )
    yield (
        'unit',
        f'1 s: {num_video} video + {num_audio} audio + 4 special tokens, {num_positions} '
        f'positions; a {_FRAME_SIZE[1]}×{_FRAME_SIZE[0]} frame is seen at {width}×{height}',
    )
    yield 'engines', ', '.join(ENGINES)


def _weights(folder: Path) -> tuple[int, int, set[str], int]:
    """Count what the safetensors files hold, from their headers alone."""
    from ..model.store import VOICE_PREFIXES

    num_parameters = num_head = num_bytes = 0
    dtypes: set[str] = set()
    paths = sorted(folder.glob('*.safetensors'))
    if not paths:
        raise ValueError(f'no *.safetensors in {folder}')
    for path in paths:
        num_bytes += path.stat().st_size
        with path.open('rb') as file:
            # The format: length of the header in 8 bytes, then the header as JSON.
            length = int.from_bytes(file.read(8), 'little')
            header = json.loads(file.read(min(length, path.stat().st_size)))
        for key, tensor in header.items():
            # The parts that make the model's own voice are never loaded.
            if key == '__metadata__' or key.startswith(VOICE_PREFIXES):
                continue
            size = prod(tensor['shape'])
            num_parameters += size
            num_head += size if 'gate_mixer' in key or 'gate_head' in key else 0
            dtypes.add(tensor['dtype'])
    return num_parameters, num_head, dtypes, num_bytes


def _thresholds(folder: Path) -> Iterator[tuple[str, str]]:
    from ..policy.model_triggers import FILE_NAME, read_triggers

    own = read_triggers(folder)
    values = ', '.join(f'{kind.name.lower()} {trigger.threshold}' for kind, trigger in own.items())
    source = "the model's own" if (folder / FILE_NAME).is_file() else 'as published'
    yield 'thresholds', f'{values} ({source})'


def _interfaces() -> Iterator[tuple[str, str]]:
    share = share_folder()
    for kind, name in (('msg', 'messages'), ('srv', 'services'), ('action', 'actions')):
        yield name, ', '.join(path.stem for path in sorted((share / kind).glob(f'*.{kind}')))


if __name__ == '__main__':
    sys.exit(main())
