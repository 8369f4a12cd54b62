from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path
import shutil

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
import torch
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from roma_ros.model.checkpoint import load_roma, save_roma
from roma_ros.model.config import RomaConfig
from roma_ros.model.thinker import build_roma, RomaModel

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(small_roma: RomaModel, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """A checkpoint of our own, in one file."""
    save_roma(small_roma, tmp_path, tokenizer=tokenizer)
    return tmp_path


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Change the weights of a checkpoint in one file."""
    file = folder / 'model.safetensors'
    tensors = change({key: tensor.clone() for key, tensor in load_file(file).items()})
    save_file(tensors, file, metadata={'format': 'pt'})


def rewrite_config(folder: Path, change: Callable[[dict], dict]) -> None:
    file = folder / 'config.json'
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def make_released(folder: Path, *, shards: int = 3) -> None:
    """Turn our own layout into the published one: several files, bf16, a voice, both heads."""
    tensors = {
        key: t.to(torch.bfloat16) for key, t in load_file(folder / 'model.safetensors').items()
    }
    tensors['thinker.gate_head.weight'] = torch.ones(1, 48, dtype=torch.bfloat16)
    tensors['thinker.gate_head.bias'] = torch.ones(1, dtype=torch.bfloat16)
    tensors['talker.model.embed_tokens.weight'] = torch.zeros(3, 3)
    tensors['token2wav.code2wav_dit_model.norm.weight'] = torch.zeros(3)
    (folder / 'model.safetensors').unlink()
    names = [f'model-{i + 1:05d}-of-{shards:05d}.safetensors' for i in range(shards)]
    weight_map = {key: names[i % shards] for i, key in enumerate(sorted(tensors))}
    for name in names:
        save_file(
            {key: tensors[key] for key in weight_map if weight_map[key] == name}, folder / name
        )
    index = {'metadata': {'total_size': 0}, 'weight_map': weight_map}
    (folder / 'model.safetensors.index.json').write_text(json.dumps(index))
    rewrite_config(
        folder,
        lambda c: {
            'model_type': 'qwen2_5_omni',
            'thinker_config': c['thinker_config'],
            'talker_config': {'model_type': 'qwen2_5_omni_talker'},
            'token2wav_config': {},
        },
    )


def assert_equal_weights(loaded: RomaModel, original: RomaModel, dtype: torch.dtype) -> None:
    expected = original.state_dict()
    assert set(loaded.state_dict()) == set(expected)
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == dtype, name
        assert torch.equal(tensor, expected[name].to(dtype)), name


@pytest.mark.parametrize('tie', [False, True])
@pytest.mark.parametrize('head_width', [None, 7, 0])
@pytest.mark.parametrize('max_shard_bytes', [200_000, 5_000_000_000])
def test_own_layout_round_trip(
    make_small_config, tokenizer: Tokenizer, tmp_path: Path, tie, head_width, max_shard_bytes
):
    model = build_roma(make_small_config(tie=tie, head_width=head_width), seed=3)

    save_roma(model, tmp_path, tokenizer=tokenizer, max_shard_bytes=max_shard_bytes)
    loaded = load_roma(tmp_path)

    assert_equal_weights(loaded.model, model, torch.float32)
    assert loaded.config.speak_head == model.config.speak_head
    assert loaded.tokenizer.to_str() == tokenizer.to_str()
    assert not loaded.model.training
    shards = list(tmp_path.glob('model-*.safetensors'))
    assert len(shards) > 3 if max_shard_bytes == 200_000 else not shards
    tied = loaded.model.thinker.lm_head.weight is loaded.model.decoder.embed_tokens.weight
    assert tied is tie


@torch.inference_mode()
def test_released_layout(small_roma: RomaModel, folder: Path):
    """Several shards in bf16 with a talker and both heads, of which the newer counts."""
    make_released(folder)

    loaded = load_roma(folder, dtype=torch.float32).model

    for name, tensor in loaded.state_dict().items():
        rounded = small_roma.state_dict()[name].to(torch.bfloat16).float()
        assert torch.equal(tensor, rounded), name
    assert load_roma(folder, dtype=torch.bfloat16).model.dtype == torch.bfloat16


def test_older_head(small_roma: RomaModel, folder: Path):
    def to_linear(tensors: Tensors) -> Tensors:
        kept = {key: t for key, t in tensors.items() if 'gate_head_pro' not in key}
        return kept | {
            'thinker.gate_head.weight': torch.full((1, 48), 2.0),
            'thinker.gate_head.bias': torch.full((1,), 3.0),
        }

    rewrite(folder, to_linear)
    rewrite_config(folder, lambda c: c | {'speak_head_config': None})

    head = load_roma(folder).model.speak_head

    states = torch.zeros(4, 48)
    states[:, 0] = 1.0
    assert head(states).item() == 5.0


@pytest.mark.parametrize('prefix', ['', 'thinker.'])
def test_thinker_only(small_roma: RomaModel, folder: Path, prefix: str):
    """As a trainer saves it: keys with and without the prefix, the thinker's own config.json."""
    rewrite(folder, lambda t: {prefix + key.removeprefix('thinker.'): v for key, v in t.items()})
    rewrite_config(folder, lambda c: c['thinker_config'])

    assert_equal_weights(load_roma(folder).model, small_roma, torch.float32)


def test_names_of_transformers_5(small_roma: RomaModel, folder: Path):
    """Its modules' own names, which it writes when told not to use the published ones."""

    def rename(tensors: Tensors) -> Tensors:
        head = {key: t for key, t in tensors.items() if '.gate_head' in key or '.gate_mix' in key}
        return head | small_roma.thinker.state_dict(prefix='thinker.')

    rewrite(folder, rename)

    assert_equal_weights(load_roma(folder).model, small_roma, torch.float32)


def test_what_stock_transformers_saves(small_roma: RomaModel, folder: Path, tokenizer: Tokenizer):
    shutil.rmtree(folder)
    small_roma.thinker.save_pretrained(folder)
    tokenizer.save(str(folder / 'tokenizer.json'))

    loaded = load_roma(folder, init_speak_head=True).model

    for name, tensor in loaded.thinker.state_dict().items():
        assert torch.equal(tensor, small_roma.thinker.state_dict()[name]), name


def test_stock_transformers_loads_what_we_save(small_roma: RomaModel, folder: Path):
    stock, info = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
        folder, output_loading_info=True
    )

    for name, tensor in stock.state_dict().items():
        assert torch.equal(tensor, small_roma.thinker.state_dict()[name]), name
    assert not info['missing_keys']


def without_head(tensors: Tensors) -> Tensors:
    return {
        key: t
        for key, t in tensors.items()
        if '.gate_head' not in key and '.gate_mixer' not in key
    }


def test_plain_omni_needs_a_decision(folder: Path):
    rewrite(folder, without_head)

    with pytest.raises(ValueError, match=r'no speak head \(thinker.gate_\*\).*init_speak_head'):
        load_roma(folder)


def test_plain_omni_with_a_new_head(small_roma: RomaModel, folder: Path):
    rewrite(folder, without_head)

    model = load_roma(folder, dtype=torch.bfloat16, init_speak_head=True).model

    assert torch.equal(model.speak_head.layer_logits, torch.zeros(4, dtype=torch.bfloat16))
    assert model.speak_head.fc2.weight.dtype == torch.bfloat16
    assert model.speak_head.fc2.weight.abs().sum() > 0
    assert torch.equal(
        model.thinker.lm_head.weight, small_roma.thinker.lm_head.weight.to(torch.bfloat16)
    )


@torch.inference_mode()
def test_computed_tables_are_as_in_a_built_network(small_roma: RomaModel, folder: Path):
    """Rotary frequencies and sinusoids are on no disk; in bf16 they stay float32."""
    expected = dict(small_roma.named_buffers())
    assert expected

    for dtype in (torch.float32, torch.bfloat16):
        loaded = dict(load_roma(folder, dtype=dtype).model.named_buffers())
        assert set(loaded) == set(expected)
        for name, table in loaded.items():
            assert table.dtype == torch.float32
            assert torch.equal(table, expected[name]), name


def test_an_open_network_survives_saving_over_it(folder: Path, tokenizer: Tokenizer):
    """Its weights may be mapped from the very file that is replaced."""
    loaded = load_roma(folder).model
    before = loaded.thinker.lm_head.weight.clone()
    other = build_roma(loaded.config, seed=9)

    save_roma(other, folder, tokenizer=tokenizer)

    assert torch.equal(loaded.thinker.lm_head.weight, before)
    assert torch.equal(
        load_roma(folder).model.thinker.lm_head.weight, other.thinker.lm_head.weight
    )


def test_no_weight_is_read_twice_or_kept_on_meta(folder: Path):
    model = load_roma(folder).model

    tensors = [*model.parameters(), *model.buffers()]
    assert not any(tensor.is_meta for tensor in tensors)
    pointers = [parameter.data_ptr() for parameter in model.parameters()]
    assert len(pointers) == len(set(pointers))


def peak_mib() -> float:
    """Most memory that this process has held since its mark was reset."""
    status = Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) / 1024


@pytest.mark.slow
def test_memory_holds_the_weights_once(small_config: RomaConfig, tokenizer: Tokenizer, tmp_path):
    """Read as bfloat16, kept as float32: the worst case, for then nothing can stay mapped."""
    values = small_config.thinker.to_dict()
    values['text_config']['vocab_size'] = 800_000
    config = replace(small_config, thinker=type(small_config.thinker).from_dict(values))
    with torch.device('meta'):
        model = RomaModel(config)
    stored = model.to_empty(device='cpu').to(torch.bfloat16)
    save_roma(stored, tmp_path, tokenizer=tokenizer, max_shard_bytes=20_000_000)
    del model, stored
    Path('/proc/self/clear_refs').write_text('5')
    before = peak_mib()

    loaded = load_roma(tmp_path, dtype=torch.float32)

    weights_mib = sum(p.nbytes for p in loaded.model.parameters()) / 2**20
    assert weights_mib > 250
    # One matrix, half of all, is mapped beside its copy while it is converted.
    assert peak_mib() - before < 1.4 * weights_mib


def test_names_missing_surplus_and_misshaped_keys(folder: Path):
    def spoil(tensors: Tensors) -> Tensors:
        del tensors['thinker.model.norm.weight']
        tensors['thinker.model.layers.9.mlp.up_proj.weight'] = torch.zeros(2)
        tensors['optimizer.step'] = torch.zeros(1)
        tensors['thinker.gate_head_pro_fc2.weight'] = torch.zeros(1, 11)
        return tensors

    rewrite(folder, spoil)

    with pytest.raises(ValueError, match='weights do not fit') as error:
        load_roma(folder)
    message = str(error.value)
    assert '1 missing: thinker.model.norm.weight;' in message
    assert '2 surplus: optimizer.step, thinker.model.layers.9.mlp.up_proj.weight;' in message
    assert 'thinker.gate_head_pro_fc2.weight is [1, 11], expected [1, 12]' in message


def test_long_lists_are_cut(folder: Path):
    rewrite(folder, lambda t: {key: v for key, v in t.items() if 'mlp' not in key})

    with pytest.raises(ValueError, match=r'\d\d missing: ([^,]+, ){5}\.\.\.: '):
        load_roma(folder)


def test_the_files_of_the_voice_are_not_needed(folder: Path):
    make_released(folder, shards=1)
    index = folder / 'model.safetensors.index.json'
    values = json.loads(index.read_text())
    for key in values['weight_map']:
        if not key.startswith('thinker.'):
            values['weight_map'][key] = 'model-not-downloaded.safetensors'
    index.write_text(json.dumps(values))

    loaded = load_roma(folder)

    assert not any('talker' in name for name, _ in loaded.model.named_modules())


def test_says_which_shard_is_not_there(folder: Path):
    make_released(folder)
    (folder / 'model-00002-of-00003.safetensors').unlink()

    with pytest.raises(FileNotFoundError, match='names model-00002-of-00003'):
        load_roma(folder)


@pytest.mark.parametrize('size', [0, 5, 10_000])
def test_a_broken_download(folder: Path, size: int):
    file = folder / 'model.safetensors'
    file.write_bytes(file.read_bytes()[:size])

    with pytest.raises(ValueError, match=r'model\.safetensors is damaged or incomplete .*get it'):
        load_roma(folder)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('model.safetensors', 'only safetensors are read'),
        ('tokenizer.json', 'no tokenizer.json'),
        ('config.json', 'no config.json'),
    ],
)
def test_says_which_file_is_not_there(folder: Path, name: str, message: str):
    (folder / name).unlink()

    with pytest.raises(FileNotFoundError, match=message):
        load_roma(folder)


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='no such checkpoint folder; give the folder'):
        load_roma(tmp_path / 'EurekaTian' / 'ROMA')


def test_an_old_index_does_not_hide_a_new_single_file(
    small_config: RomaConfig, folder: Path, tokenizer: Tokenizer
):
    model = build_roma(small_config, seed=5)
    save_roma(model, folder, tokenizer=tokenizer, max_shard_bytes=200_000)

    save_roma(build_roma(small_config, seed=6), folder, tokenizer=tokenizer)

    loaded = load_roma(folder).model
    assert not torch.equal(loaded.thinker.lm_head.weight, model.thinker.lm_head.weight)
    assert [file.name for file in folder.glob('*.safetensors*')] == ['model.safetensors']
