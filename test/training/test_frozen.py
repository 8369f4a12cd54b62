import numpy as np
import torch

from roma_ros.model.checkpoint import LoadedRoma
from roma_ros.model.processor import UnitProcessor
from roma_ros.training.curriculum import Phase
from roma_ros.training.data import StreamMaker
from roma_ros.training.frozen import freeze_streams, FrozenMaker
from roma_ros.training.objective import Objective


def _loaded(small_roma, tokenizer) -> LoadedRoma:
    processor = UnitProcessor(small_roma.config.processor)
    return LoadedRoma(small_roma, tokenizer, processor, small_roma.config)


def test_a_frozen_stream_teaches_what_the_stream_does(small_roma, tokenizer, protocol, tmp_path):
    loaded = _loaded(small_roma, tokenizer)
    streams = freeze_streams(
        loaded, tmp_path, split='train', count=2, duration_s=8, report=lambda line: None
    )
    phase = Phase(
        name='a',
        objective='speak',
        steps=1,
        streams=2,
        duration_s=8,
        learning_rate=1e-3,
        train='decoder',
    )
    live = StreamMaker(
        loaded.processor,
        protocol,
        split='train',
        objective='speak',
        duration_s=8,
        learn_narration=True,
        drill=True,
    )([0, 1])
    frozen = FrozenMaker(streams, protocol, objective='speak', shuffle=False)([0, 1])

    assert torch.equal(live.batch.token_ids, frozen.batch.token_ids)
    assert torch.equal(live.batch.speak_labels, frozen.batch.speak_labels)
    assert len(frozen.batch.speak_labels) > 50
    objective = Objective(small_roma).eval()
    with torch.no_grad():
        expected, found = objective(live, phase), objective(frozen, phase)
    # The tokens are kept in float16.
    torch.testing.assert_close(
        expected.output.speak_logits, found.output.speak_logits, atol=0.02, rtol=0.02
    )
    torch.testing.assert_close(expected.loss, found.loss, atol=0.02, rtol=0.02)


def test_is_encoded_once_and_read_afterwards(small_roma, tokenizer, protocol, tmp_path):
    loaded = _loaded(small_roma, tokenizer)
    lines: list[str] = []
    options = {'split': 'validation', 'count': 2, 'duration_s': 8, 'report': lines.append}
    first = freeze_streams(loaded, tmp_path, **options)
    second = freeze_streams(loaded, tmp_path, **options)

    assert lines == ['validation streams encoded: 2/2']
    assert torch.equal(first.video, second.video)
    assert first.supervisions == second.supervisions
    assert first.video.shape[:2] == (2, 8)


def test_each_round_has_every_stream_once_in_another_order(
    small_roma, tokenizer, protocol, tmp_path
):
    streams = freeze_streams(
        _loaded(small_roma, tokenizer),
        tmp_path,
        split='train',
        count=4,
        duration_s=8,
        report=lambda line: None,
    )
    make = FrozenMaker(streams, protocol, objective='answers', shuffle=True)

    def order(first: int) -> list[int]:
        batches = [make([seed]).video.half() for seed in range(first, first + 4)]
        all_video = streams.video.flatten(1, 2)
        return [next(i for i in range(4) if torch.equal(all_video[i], b)) for b in batches]

    rounds = [order(first) for first in (0, 4, 8)]
    assert all(sorted(found) == [0, 1, 2, 3] for found in rounds)
    assert len(np.unique(rounds, axis=0)) > 1
    assert not len(make([0]).batch.speak_labels)
