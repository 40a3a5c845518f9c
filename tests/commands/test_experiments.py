"""Each experiment and the default config composes and builds; reproductions have the settings of their paper."""

import pytest
from running import composed, names

from bench.config.build import build, build_each, build_network, fill_in
from bench.datasets import phantoms


@pytest.mark.parametrize("name", [None, *names("experiment")])
def test_experiment_composes_and_builds(name):
    config = composed(*([f"+experiment={name}"] if name else []))
    task = "classification" if "num_classes" in config.model else "segmentation"
    channels = config.dataset.get("channels", 1)
    data = phantoms(task, channels=1 if channels == "auto" else channels, size=32, n=(4, 4, 4))
    fill_in(config.model, data)
    model = build_network(config.model, seed=0)
    assert list(build_each(config.estimator, "estimator")) == list(config.estimator)
    assert list(build_each(config.diagnostic, "diagnostic")) == list(config.diagnostic)
    optimizer = build(config.train, "train")["optimizer"](model.parameters())
    assert optimizer.param_groups[0]["lr"] == config.train.optimizer.lr
    if name:
        assert config.tracking.experiment == name, f"conf/experiment/{name}.yaml: wanted tracking.experiment: {name}"


def test_yu2020_has_the_settings_of_the_paper():
    config = composed("+experiment=yu2020", "dataset.root=data")
    assert (config.model.filters, config.model.hidden) == ([6, 16], [120, 84])
    paper = config.estimator.renyi_yu2020
    assert (paper.alpha, paper.width, paper.h, paper.h_errors, paper.batch_size) == (1.01, "silverman", 5, 0.1, 100)
    assert config.estimator.renyi_2.width == "median"
    assert {"modified_information_plane", "data_processing", "filter_count"} <= set(config.diagnostic)


def test_ma2022_has_the_settings_of_the_paper_and_untrained_references():
    config = composed("+experiment=ma2022", "dataset.root=data")
    discarding = config.diagnostic.discarding
    assert (discarding.beta, discarding.tau, discarding.sigma_max, discarding.images) == (1.5, 0.01, 1.0, 8)
    assert discarding.absolute
    assert discarding.skips
    assert discarding.reconstruction._target_.endswith("Decoders")
    assert config.probe.untrained_seeds >= 1


def test_lee2021_has_the_settings_of_the_paper():
    config = composed("+experiment=lee2021", "dataset.root=data")
    assert config.model.widths == [16, 32, 64, 128, 256]
    assert config.estimator.kde.noise_variance == 0.2
    assert {"fractions", "coarse", "kmeans"} == set(config.probe.labels)
    assert config.dataset.root == "data"
