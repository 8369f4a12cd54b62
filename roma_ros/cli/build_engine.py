"""
Build TensorRT engines of a model, ahead of its first run; they are for this machine's GPU.

::

    roma build-engine models/roma-tiny --dtype float16
    roma build-engine EurekaTian/ROMA --dtype bfloat16
    roma build-engine graphs/roma --capacity 4096 --compact
"""

import argparse
from collections.abc import Sequence
import json
import sys

from .progress import ProgressLine


def main(argv: Sequence[str] | None = None) -> int:
    """
    Build the engines of one model.

    :param argv: options.
    :return: exit code: 0; 1 when they cannot be built.
    """
    parser = argparse.ArgumentParser(
        prog='roma build-engine',
        description='Build TensorRT engines of a model. The engine tensorrt does so by itself '
        'when it finds none; here it is done ahead. Takes minutes for a large model.',
    )
    parser.add_argument(
        'model', metavar='MODEL', help='a checkpoint, or what `roma export` wrote of one'
    )
    parser.add_argument(
        '--dtype', default='bfloat16', choices=('float16', 'bfloat16'), help='of a checkpoint'
    )
    parser.add_argument(
        '--capacity', type=int, metavar='TOKENS', help='of the cache; else of the usual window'
    )
    parser.add_argument(
        '--compact',
        action='store_true',
        default=None,
        help='store the weights once for all lengths of input; words come slower',
    )
    options = parser.parse_args(argv)
    progress = ProgressLine(sys.stderr)
    try:
        import torch

        from ..model.store import find_checkpoint
        from ..runtime.exported import is_exported, read_graph_config
        from ..runtime.graph_store import stored_graphs
        from ..runtime.plan_store import PLANS_NAME, stored_plans

        graphs = find_checkpoint(options.model)
        if not is_exported(graphs):
            dtype = getattr(torch, options.dtype)
            graphs = stored_graphs(graphs, dtype=dtype, on_progress=progress.show)
        folder = stored_plans(
            graphs,
            read_graph_config(graphs),
            capacity=options.capacity,
            compact=options.compact,
            on_progress=progress.show,
        )
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        progress.finish()
        print(f'roma build-engine: {error}', file=sys.stderr)
        return 1
    progress.finish()
    plans = json.loads((folder / PLANS_NAME).read_text(encoding='utf-8'))
    print(f'{plans["tensorrt"]}, {plans["gpu"]}, a cache of {plans["capacity"]} tokens: {folder}')
    for name, layers in plans['layers'].items():
        size = (folder / f'{name}.plan').stat().st_size / 1e6
        kinds = ('ATTENTION_INPUT', 'KV_CACHE_UPDATE', 'ROTARY_EMBEDDING', 'DEQUANTIZE')
        found = ', '.join(f'{layers[kind]} {kind}' for kind in kinds if kind in layers)
        print(f'  {name:<8}{size:9.1f} MB   {found}')
    print(f'Run it: roma run --engine tensorrt --model {options.model}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
