"""The triggers that come with a model: a network's probabilities are its own."""

from collections.abc import Mapping
from dataclasses import asdict
import json
from pathlib import Path

from .instructions import InstructionKind
from .triggers import PRESETS, TriggerConfig

#: Beside the weights; a model without it takes the published ones.
FILE_NAME = 'triggers.json'


def read_triggers(folder: Path) -> dict[InstructionKind, TriggerConfig]:
    """
    Read when a model is to speak, by the kind of instruction.

    :param folder: of the model.
    :return: those of its file, and presets for kinds that it does not name.
    :raises ValueError: when the file is broken.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return dict(PRESETS)
    try:
        found = {
            InstructionKind[name.upper()]: TriggerConfig(**values)
            for name, values in json.loads(path.read_text(encoding='utf-8')).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'no triggers by kind ({type(error).__name__}: {error}); mend or delete: {path}'
        ) from error
    return PRESETS | found


def write_triggers(folder: Path, triggers: Mapping[InstructionKind, TriggerConfig]) -> None:
    """Write when a model is to speak, beside its weights."""
    values = {kind.name.lower(): asdict(trigger) for kind, trigger in triggers.items()}
    text = json.dumps(values, indent=2)
    (folder / FILE_NAME).write_text(text + '\n', encoding='utf-8')
