"""Bad values and files are refused with one line, exit code 2 and no traceback."""

import pytest
import torch
from running import assert_refused, command, process, runs, tiny

ESTIMATORS = (
    "wanted one of binning, gaussian, infonce, kde, kde_relative, ksg, ksg2, ksg_mixture, latent, lnc, matched, mine, "
    "nwj, probe, probe_mlp, renyi, renyi_2, renyi_tensor, renyi_yu2020, smile, variates"
)
TAPS = "enc1.conv1, enc1.conv2, bottleneck.conv1, bottleneck.conv2, up1, skip1, dec1.conv1, dec1.conv2, out"


# Values of the config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("model.widths=[]", "widths: got [], wanted at least 2 positive integers; give one per level"),
        ("model.widths=[8]", "widths: got [8], wanted at least 2 positive integers"),
        ("model.widths=[0,8]", "widths: got [0, 8], wanted at least 2 positive integers"),
        ("model.widths=[4,8.5]", "widths: got [4, 8.5], wanted at least 2 positive integers"),
        ("model.widths=[4,wide]", "widths: got [4, 'wide'], wanted at least 2 positive integers"),
        ("model.skips=[cat,off]", "skips: got ['cat', 'off'], wanted one entry per level, 1 in all"),
        ("model.skips=some", "skips: got 'some', wanted all, none, add or a list of cat, add, off"),
        ("model.in_channels=2", "model: refuses images of shape (1, 16, 16) in evaluation mode (input: got shape"),
        ("model=cnn", "got an output of shape (2,), wanted (1, 16, 16) for segmentation"),
        ("dataset.task=classification", "choose a network for classification, such as model=cnn"),
        (
            "model=alexnet",
            "model: got 'alexnet', wanted one of cnn, custom, densenet, file, lenet5, monai, nnunet, resnet, ",
        ),
        (
            "dataset=coco",
            "dataset: got 'coco', wanted one of class_folders, decathlon, dsb2018, fashion_mnist, image_folder, ",
        ),
        ("dataset.task=detection", "dataset.task: got 'detection', wanted one of ['segmentation', 'classification']"),
        ("dataset.n=[16,16,0]", "dataset.n: got [16, 16, 0]"),
        ("folds=3 fold=3", "fold: got 3, wanted one of 0, 1, 2 for folds=3; write fold=0, or -m fold=0,1,2"),
        ("folds=41 fold=0", "folds: got 41, wanted at most 40: dataset phantoms has 40 samples of 40 patients"),
        ("folds=1 fold=0", "folds: got 1, wanted 2 to 1,000 folds, a column of the index, or a splits_final.json"),
        ("folds=part fold=0", "folds: got 'part', and this dataset has no index with columns"),
        ("folds=part", "folds: got 'part', and this dataset has no index with columns"),
        ("folds=none.json fold=0", "folds: got none.json, which is no file"),
        ("fold=1", "fold: got 1 without folds, wanted the number of folds; write folds=5 fold=1"),
        ("estimator=nosuch", f"estimator: got 'nosuch', {ESTIMATORS}"),
        ("estimator=[kde,nosuch]", f"estimator: got 'nosuch', {ESTIMATORS}"),
        ("estimator=[] diagnostic=[u_plot]", "estimator: got"),
        ("estimator=null", "Config group override must be a string or a list. Got NoneType, wanted a choice such as"),
        ("estimator.kde.noise_variance=0", "estimator.kde: noise_variance: got 0, wanted a number above 0"),
        ("estimator=[renyi] estimator.renyi.alpha=0", "estimator.renyi: alpha: got 0, wanted a number above 0"),
        ("estimator=[renyi] estimator.renyi.alpha=-1.5", "alpha: got -1.5, wanted a number above 0"),
        (
            "+experiment=ma2022 dataset=phantoms diagnostic=[u_plot]",
            "diagnostic.discarding: got settings without a component, wanted discarding among the choices",
        ),
        (
            "diagnostic=[u_plot,v_plot]",
            "diagnostic: got 'v_plot', wanted one of bottleneck, data_processing, discarding",
        ),
        ("+experiment=lee2022", "experiment: got 'lee2022', wanted one of lee2021"),
        ("probe.n=17", "probe.n: got 17, wanted at most 16, the size of probe.split=val; lower it or set"),
        ("probe.n=15", "probe.n: got 15 samples (probe.split=val), wanted at least 16"),
        ("probe.split=test", "probe.n: got 8 samples (probe.split=test), wanted at least 16"),
        ("probe.n=many", "Error merging override probe.n=many: Value 'many' of type 'str' could not be converted"),
        ("probe.split=validation", "probe.split: got 'validation', wanted one of train, val, test, trainval, all"),
        ("probe.taps=[up1,up9]", f"probe.taps: got 'up9', which matches no tap of the model; wanted any of {TAPS}"),
        ("probe.taps=up9", "probe.taps: got up9, wanted a list; write probe.taps=[up9]"),
        ("probe.taps=[]", "probe.taps: got none, wanted at least one"),
        ("probe.labels=[octiles]", "probe.labels: got 'octiles', wanted one of fractions, mask, coarse, kmeans"),
        ("probe.labels=[kmeans]", "got kmeans with 16 training masks, wanted at least 64"),
        ("probe.epochs=3", "probe.epochs: got 3, wanted a list; write probe.epochs=[3]"),
        ("probe.epochs=[last]", "Value 'last' of type 'str' could not be converted to Integer"),
        ("probe.untrained_seeds=-1", "probe.untrained_seeds: got -1"),
        ("probe.batch_size=0", "probe.batch_size: got 0"),
        ("probe.budget_gb=0", "probe.budget_gb: got 0"),
        ("train.epochs=-1", "train.epochs: got -1"),
        ("train.epochs=ten", "Value 'ten' of type 'str' could not be converted to Integer"),
        ("train.batch_size=0", "train.batch_size: got 0"),
        ("train.optimizer.lr=-1", "train.optimizer: Invalid learning rate: -1"),
        ("train.loss=ce", "train.loss: got 'ce', wanted one of auto, bce, weighted_bce, focal, dice, dice_ce, "),
        ("train.sampler=even", "train.sampler: got 'even', wanted shuffle or balanced"),
        ("train.amp=half", "train.amp: got 'half', wanted one of true, false, off, bf16, fp16"),
        ("train.clip=0", "train.clip: got 0"),
        ("train.patches=0", "train.patches: got 0"),
        ("train.patches=2", "train.patches: got 2, but dataset phantoms trains on whole images, wanted 1"),
        ("train.workers=-1", "train.workers: got -1, wanted 0 or more, up to 1,024"),
        ("train.warmup=1 train.epochs=1", "train.warmup: got 1, wanted fewer epochs than train.epochs=1; lower it"),
        ("train.teacher=abc", "train.teacher: got abc, wanted a run of sqlite"),
        ("+train.epoch=3", "train: got the setting 'epoch', wanted one of epochs, batch_size"),
        ("+probe.samples=16", "probe: got the setting 'samples', wanted one of split, n"),
        ("modle.widths=[4,8]", "did you mean model.widths?"),
        ("train.epoch=3", "train.epoch: no setting of run has this name; did you mean train.epochs?"),
        ("seed=-1", "seed: got -1, wanted 0 or more"),
        ("seed=one", "Value 'one' of type 'str' could not be converted to Integer"),
        ("device=gpu", "device: got 'gpu', wanted auto, cpu or cuda"),
        ("tracking.uri=ftp://store", "tracking.uri: got ftp://store, wanted a tracking store that answers"),
        ("tracking.uri=sqlite:////nowhere/mlflow.db", "wanted a folder that exists; create /nowhere"),
        ("tracking.experiment=''", "tracking.experiment: got an empty name"),
    ],
)
def test_bad_value(tmp_path, overrides, message):
    assert_refused(tiny(tmp_path, *overrides.split()), message)
    assert runs(tmp_path) == []


def test_unknown_command(tmp_path):
    assert_refused(command(tmp_path, "trian", "seed=1"), "command: got 'trian', wanted one of run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_cuda_without_a_gpu(tmp_path):
    assert_refused(tiny(tmp_path, "device=cuda"), "no GPU is visible; set device=auto or cpu")
    assert runs(tmp_path) == []


def test_hydra_full_error_shows_the_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    ended = tiny(tmp_path, "seed=-1")
    assert ended.code == 2
    assert ended.err.startswith("Traceback")
    assert "InputError: seed: got -1" in ended.err


def test_a_process_ends_with_one_line_and_code_2(tmp_path):
    ended = process(tmp_path, "dataset=image_folder", "dataset.root=nowhere")
    out, err = ended.communicate(timeout=120)
    assert (ended.returncode, out) == (2, "")
    assert err == "bench: dataset.root: got nowhere, which is not a folder; set dataset.root to a folder that exists\n"
    assert not (tmp_path / "mlflow.db").exists()
