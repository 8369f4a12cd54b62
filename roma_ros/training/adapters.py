"""Small added matrices (LoRA) on the decoder, which learn in place of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..model.thinker import RomaModel

#: What gets added matrices: the release's own choice, in a commented alternative.
TARGETS = ('q_proj', 'k_proj', 'v_proj', 'o_proj', 'up_proj', 'down_proj', 'gate_proj')
#: Scale of what is added: twice the rank, as is usual.
_ALPHA_PER_RANK = 2


def add_adapters(model: RomaModel, rank: int) -> None:
    """
    Add matrices of a rank to all projections of the decoder; at first they change nothing.

    :param model: changed in place.
    :param rank: of the matrices; 64 in the release.
    :raises ImportError: when peft is missing, with the command.
    """
    try:
        from peft import inject_adapter_in_model, LoraConfig
    except ImportError as error:
        raise ImportError('adapters need the peft package: pip install peft') from error
    config = LoraConfig(
        r=rank, lora_alpha=_ALPHA_PER_RANK * rank, target_modules=list(TARGETS), lora_dropout=0.0
    )
    inject_adapter_in_model(config, model.decoder)


def merge_adapters(model: RomaModel) -> None:
    """Add what was learned to the decoder's own weights, and take the added matrices out."""
    for parent, name, layer in _adapters(model):
        layer.merge()
        setattr(parent, name, layer.get_base_layer())


@contextmanager
def without_adapters(model: RomaModel) -> Iterator[None]:
    """Let the model be what it was before matrices were added, to be saved as any other."""
    found = list(_adapters(model))
    for parent, name, layer in found:
        setattr(parent, name, layer.get_base_layer())
    try:
        yield
    finally:
        for parent, name, layer in found:
            setattr(parent, name, layer)


def _adapters(model: RomaModel) -> list[tuple[nn.Module, str, Any]]:
    return [
        (parent, name, child)
        for parent in model.decoder.modules()
        for name, child in parent.named_children()
        if name in TARGETS and hasattr(child, 'lora_A')
    ]
