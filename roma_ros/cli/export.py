"""
Write a model as ONNX graphs, for the engines onnxruntime and tensorrt.

::

    roma export models/roma-tiny --out graphs/tiny
    roma export EurekaTian/ROMA --out graphs/roma --dtype bfloat16 --capacity 8192
    roma export models/roma-tiny --out graphs/tiny-int8 --quantize int8
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from .progress import ProgressLine


def main(argv: Sequence[str] | None = None) -> int:
    """
    Export one model.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot be exported.
    """
    parser = argparse.ArgumentParser(
        prog='roma export',
        description='Write a model as ONNX graphs of standard operators (opset 24), with a '
        'manifest of their inputs and outputs, and compare them with torch.',
    )
    parser.add_argument('model', metavar='MODEL', help='a folder, or owner/name of a fetched one')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='where to')
    parser.add_argument(
        '--dtype', default='float32', choices=('float32', 'float16', 'bfloat16'), help='numbers'
    )
    parser.add_argument(
        '--quantize',
        default='',
        choices=('int8', 'int4', 'w8a8'),
        help='store the weights of linear layers as whole numbers, with a scale for each 32; '
        'w8a8: of 8 bits, and round what goes into the layers to 8 bits, too, for CPUs alone',
    )
    parser.add_argument(
        '--capacity', type=int, metavar='TOKENS', help='of the cache, fixed; else any'
    )
    options = parser.parse_args(argv)
    try:
        import onnx  # noqa: F401
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
        import torch
    except ImportError as error:
        print(
            f'roma export: {error.name} is not installed: pip install torch onnx onnxruntime',
            file=sys.stderr,
        )
        return 1
    from ..runtime.export import export_model

    progress = ProgressLine(sys.stderr)
    try:
        manifest = export_model(
            options.model,
            options.out,
            dtype=getattr(torch, options.dtype),
            quantize=options.quantize,
            capacity=options.capacity,
            on_progress=progress.show,
        )
    except (OSError, ValueError) as error:
        progress.finish()
        print(f'roma export: {error}', file=sys.stderr)
        return 1
    progress.finish()
    size = sum(file.stat().st_size for file in options.out.iterdir()) / 1e6
    print(f'{manifest.model["name"]} in {manifest.dtype} {manifest.quantization}: {size:.1f} MB')
    if manifest.differences is None:
        print('Not compared with torch: ONNX Runtime does not run bfloat16 on a CPU.')
    else:
        print('Largest differences from torch, on random input:')
        for name, difference in manifest.differences.items():
            print(f'  {name:<14}{difference:.2g}')
    print(f'Run it: roma run --engine onnxruntime --model {options.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
