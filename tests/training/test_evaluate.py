from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.errors import TrainingError
from bench.training.evaluate import classification_scores, evaluate, score, segmentation_table
from bench.training.predictions import predict_volume


def masks_to_logits(masks):
    return (masks.float() * 2 - 1)[:, None]


def data_of(images, targets, task, classes, groups=None):
    n = len(images)
    groups = np.arange(n) if groups is None else np.asarray(groups)
    split = Split(images, targets, groups, tuple(map(str, range(n))))
    return Data("made", task, tuple(f"class {k}" for k in range(classes)), split, split, split)


def test_overlap_and_distance_of_shifted_squares():
    truth, predicted = torch.zeros(2, 1, 16, 16, dtype=torch.int64).unbind()
    truth, predicted = truth.clone(), predicted.clone()
    truth[0, 4:8, 4:8] = 1
    predicted[0, 4:8, 6:10] = 1  # 8 of 16 pixels overlap; outer columns are at a distance of 2 pixels
    row = segmentation_table(masks_to_logits(predicted), truth, ("ground", "square")).iloc[0]
    assert row["dice"] == pytest.approx(2 * 8 / 32)
    assert row["iou"] == pytest.approx(8 / 24)
    assert row["hd95"] == pytest.approx(2)


def test_scores_of_empty_masks():
    empty, full = torch.zeros(1, 8, 8, dtype=torch.int64), torch.ones(1, 8, 8, dtype=torch.int64)
    truth = torch.cat([empty, empty, full])
    predicted = torch.cat([empty, full, empty])
    table = segmentation_table(masks_to_logits(predicted), truth, ("ground", "square"))
    assert table["dice"].tolist() == [1, 0, 0]
    assert table["iou"].tolist() == [1, 0, 0]
    assert table["hd95"].isna().all()


def test_several_classes_are_averaged_over_the_foreground():
    truth = torch.zeros(1, 4, 4, dtype=torch.int64)
    truth[0, 0, :2], truth[0, 3, :4] = 1, 2
    predicted = truth.clone()
    predicted[0, 3, :2] = 0  # class 1 is correct, class 2 is half correct: Dice 2·2 / (2 + 4)
    logits = torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).float()
    assert segmentation_table(logits, truth, ("ground", "a", "b"))["dice"].item() == pytest.approx((1 + 2 / 3) / 2)


REGIONS = {"whole": (1, 2), "core": (2,)}


def in_squares() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a mask of class 1 with class 2 inside, and logits of both regions that miss half of the core."""
    truth = torch.zeros(1, 8, 8, dtype=torch.int64)
    truth[0, 2:6, 2:6] = 1
    truth[0, 3:5, 3:5] = 2
    core = (truth == 2).float()
    core[0, 4] = 0
    return truth, torch.stack([(truth > 0).float(), core], dim=1) * 2 - 1


def test_regions_that_overlap_are_scored_by_themselves():
    truth, logits = in_squares()
    row = segmentation_table(logits, truth, ("ground", "rim", "core"), REGIONS).iloc[0]
    assert row["dice.whole"] == 1
    assert row["dice.core"] == pytest.approx(2 * 2 / (2 + 4))
    assert row["dice"] == pytest.approx((1 + 2 / 3) / 2)
    data = replace(data_of(torch.zeros(1, 1, 8, 8), truth, "segmentation", 3), regions=REGIONS)
    assert score(logits, truth, data) == pytest.approx((1 + 2 / 3) / 2)


def test_interval_is_over_patients_not_images():
    # ten patients with ten equal images each: the images have no more information than ten numbers
    torch.manual_seed(0)
    dice = torch.arange(10) % 2
    truth = torch.ones(100, 8, 8, dtype=torch.int64)
    predicted = truth * dice.repeat_interleave(10)[:, None, None]

    class Fixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return images

    images = masks_to_logits(predicted)
    by_patient = data_of(images, truth, "segmentation", 2, np.repeat(np.arange(10), 10))
    by_image = data_of(images, truth, "segmentation", 2)
    widths = []
    for data in (by_patient, by_image):
        metrics, table = evaluate(Fixed(), data, "test", seed=0)
        assert metrics["dice"] == pytest.approx(0.5)
        assert metrics["hd95_undefined"] == 50
        assert metrics["hd95"] == 0
        assert len(table) == 100
        widths.append(metrics["dice_high"] - metrics["dice_low"])
    assert widths[0] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(10), rel=0.15)
    assert widths[1] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(100), rel=0.15)


def test_classification_scores_of_an_unbalanced_set():
    # 9 images of class 0 and 1 of class 1; all are predicted as 0, but that of class 1 ranks highest
    targets = torch.tensor([0] * 9 + [1])
    logits = torch.stack([torch.ones(10), torch.linspace(-1, 0, 10)], dim=1)
    scores = classification_scores(logits, targets, data_of(torch.zeros(10, 1, 4, 4), targets, "classification", 2))
    assert scores["accuracy"] == pytest.approx(0.9)
    assert scores["balanced_accuracy"] == pytest.approx(0.5)
    assert scores["auroc"] == pytest.approx(1)


def test_multi_label_scores_leave_out_labels_that_never_occur():
    targets = torch.tensor([[1, 0], [0, 0], [1, 0], [0, 0]])
    logits = torch.tensor([[2.0, -1.0], [1.0, -1.0], [3.0, -1.0], [-1.0, -1.0]])
    data = data_of(torch.zeros(4, 1, 4, 4), targets, "multilabel", 2)
    scores = classification_scores(logits, targets, data)
    assert scores["auroc"] == 1
    assert scores["accuracy"] == pytest.approx(7 / 8)
    assert score(logits, targets, data) == 1


def test_the_score_of_checkpoints_is_dice():
    truth = torch.zeros(1, 4, 4, dtype=torch.int64)
    truth[0, :2] = 1
    predicted = truth.clone()
    predicted[0, 1] = 0
    data = data_of(torch.zeros(1, 1, 4, 4), truth, "segmentation", 2)
    assert score(masks_to_logits(predicted), truth, data) == pytest.approx(2 * 4 / 12)


def test_a_missed_class_has_no_distance_and_is_counted():
    truth = torch.zeros(4, 16, 16, dtype=torch.int64)
    truth[:3, 1:5, 1:5], truth[:2, 9:13, 9:13] = 1, 2
    predicted = truth.clone()
    predicted[1][truth[1] == 2] = 0  # missed
    predicted[2, 14, 14] = 2  # false positive; the fourth image and its prediction are empty
    logits = torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).float()
    table = segmentation_table(logits, truth, ("ground", "a", "b"))
    assert table["hd95"].isna().tolist() == [False, True, True, True]
    assert table["hd95.a"].tolist()[:3] == [0, 0, 0]
    assert table["hd95.b"].isna().tolist() == [False, True, True, True]
    assert table["both_empty"].tolist() == [0, 0, 0, 2]

    class KnownOutput(torch.nn.Module):
        def forward(self, images):
            return logits[: len(images)]

    metrics, _ = evaluate(KnownOutput(), data_of(torch.zeros(4, 1, 16, 16), truth, "segmentation", 3), "test", seed=0)
    assert metrics["hd95"] == 0
    assert metrics["hd95_undefined"] == 3
    assert (metrics["hd95_undefined.class 1"], metrics["hd95_undefined.class 2"]) == (1, 3)
    assert metrics["dice_both_empty"] == 2
    assert not any(name.startswith("hd95.") for name in metrics)


def test_classes_that_a_mean_leaves_out_are_counted():
    targets = torch.tensor([0, 0, 1, 1])
    data = data_of(torch.zeros(4, 1, 2, 2), targets, "classification", 4)
    scores = classification_scores(
        10 * torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 3]), 4).float(), targets, data
    )
    assert scores["balanced_accuracy"] == 0.75
    assert scores["balanced_accuracy_undefined"] == 2
    assert scores["auroc_undefined"] == 2
    several = data_of(torch.zeros(2, 1, 2, 2), torch.ones(2, 3, dtype=torch.int64), "multilabel", 3)
    logits = torch.zeros(2, 3)
    assert "auroc" not in classification_scores(logits, several.test.targets, several)
    assert classification_scores(logits, several.test.targets, several)["auroc_undefined"] == 3
    assert np.isnan(score(logits, several.test.targets, several))


def test_an_output_that_is_not_finite_has_no_metrics():
    class Diverged(torch.nn.Module):
        def forward(self, images):
            return torch.full((len(images), 2), torch.nan)

    data = data_of(torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 0, 1]), "classification", 2)
    with pytest.raises(TrainingError, match="test output: got 8 of 8 values that are NaN"):
        evaluate(Diverged(), data, "test", seed=0)


def test_volumes_are_predicted_in_evaluation_mode():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1), torch.nn.Dropout(0.5)).train()
    volume = torch.rand(1, 8, 8, 8)
    predicted = predict_volume(model, volume, (4, 4, 4))
    with torch.no_grad():
        assert torch.allclose(predicted, model[0](volume[None]), atol=1e-5)
