import pytest
import torch

from roma_ros.training.losses import language_loss, silence_loss, speak_loss, speaking_logits


def test_positives_count_more():
    logits = torch.tensor([0.3, -1.2, 2.0])
    labels = torch.tensor([1.0, 0.0, 0.0])
    p = torch.sigmoid(logits)

    loss = speak_loss(logits, labels, positive_weight=3.0)

    naive = -(3 * p[0].log() + (1 - p[1]).log() + (1 - p[2]).log()) / 3
    assert float(loss) == pytest.approx(float(naive), abs=1e-6)


def test_words_count_by_their_probability():
    logits = torch.randn(4, 7)
    targets = torch.tensor([0, 3, 6, 2])

    naive = -torch.log_softmax(logits, dim=1)[range(4), targets].mean()
    assert float(language_loss(logits, targets)) == pytest.approx(float(naive), abs=1e-6)


def test_nothing_to_learn_is_no_loss_and_no_nan():
    empty = torch.zeros(0, requires_grad=True)
    words = torch.zeros(0, 7, requires_grad=True)

    loss = speak_loss(empty, torch.zeros(0)) + language_loss(
        words, torch.zeros(0, dtype=torch.long)
    )

    loss.backward()
    assert float(loss) == 0.0


def test_a_token_of_silence_is_one_of_all_words_and_its_absence_means_speaking():
    logits = torch.randn(3, 7)
    labels = torch.tensor([1.0, 0.0, 0.0])
    p = torch.softmax(logits, dim=1)

    loss = silence_loss(logits, labels, silence=6, turn=2, positive_weight=3.0)

    naive = -(3 * p[0, 2].log() + p[1, 6].log() + p[2, 6].log()) / 3
    assert float(loss) == pytest.approx(float(naive), abs=1e-6)
    speaking = torch.sigmoid(speaking_logits(logits, silence=6))
    torch.testing.assert_close(speaking, 1 - p[:, 6])
