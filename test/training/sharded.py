"""
Train with the network in parts over processes on CPUs, by the shipped configuration.

accelerate shards on GPUs alone: its state is told to do it here. All else is its own, and torch's.
"""

import os
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
import yaml

from roma_ros.cli.train import main
from roma_ros.training import trainer

CONFIG = Path(os.environ['FSDP_CONFIG'])


class ShardingAccelerator(Accelerator):
    """Shards, wherever it is."""

    def __init__(self, **options):
        super().__init__(**options)
        found = yaml.safe_load(CONFIG.read_text())['fsdp_config']
        found = {key.removeprefix('fsdp_'): value for key, value in found.items()}
        classes = found.pop('transformer_layer_cls_to_wrap').split(',')
        self.state.distributed_type = DistributedType.FSDP
        self.state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=found.pop('version'),
            auto_wrap_policy=found.pop('auto_wrap_policy').lower(),
            transformer_cls_names_to_wrap=classes,
            **found,
        )


trainer.Accelerator = ShardingAccelerator
raise SystemExit(main())
