"""Lean plans of nnU-Net: lists are shortened at the right end, and written plans build the same network."""

import json

import pytest
from nnunet_files import plans_content, write_plans

from models import NnUnet
from models.nnunet_lean import data_folder, decoder_convs, encoder_convs, lean
from models.nnunet_lean import write_plans as write_lean
from models.nnunet_plans import read_plans

pytest.importorskip("dynamic_network_architectures", reason="needs the extra nnunet")


@pytest.fixture(params=["PlainConvUNet", "ResidualEncoderUNet"])
def plans(request, tmp_path):
    content = plans_content(features=(4, 6, 8, 8), network=request.param)
    arguments = content["configurations"]["2d"]["architecture"]["arch_kwargs"]
    arguments["n_conv_per_stage_decoder"] = [1, 2, 3]  # the deepest stage first
    arguments["kernel_sizes"][0] = [1, 3]
    arguments["strides"][-1] = [1, 2]
    return read_plans(write_plans(tmp_path, content), "2d")


def test_without_changes_the_plans_are_the_same(plans):
    assert lean(plans) is plans
    assert lean(plans, [4, 6, 8, 8]).arguments == plans.arguments


def test_fewer_features_remove_the_deepest_stages(plans):
    cut = lean(plans, [3, 5])
    assert (cut.n_stages, cut.features_per_stage) == (2, (3, 5))
    assert (encoder_convs(cut), decoder_convs(cut)) == ((2, 2), (3,))
    assert cut.arguments["kernel_sizes"] == [[1, 3], [3, 3]]
    assert cut.strides == ((1, 1), (2, 2))
    assert (plans.n_stages, plans.content["architecture"]["arch_kwargs"]["n_stages"]) == (
        4,
        4,
    )  # the given plans remain


def test_written_plans_are_complete_and_build_the_same_network(plans, tmp_path):
    cut = lean(plans, [3, 5, 7], n_conv_per_stage_decoder=1)
    path = write_lean(cut, "nnUNetLeanPlans_1", tmp_path / "new")
    assert path == tmp_path / "new" / "nnUNetLeanPlans_1.json"
    content, former = json.loads(path.read_text()), json.loads((tmp_path / "nnUNetPlans.json").read_text())
    assert content["plans_name"] == "nnUNetLeanPlans_1"
    assert content["configurations"]["2d"]["data_identifier"] == data_folder(plans) == "nnUNetPlans_2d"
    same = former.keys() - {"plans_name", "configurations"}
    assert {key: content[key] for key in same} == {key: former[key] for key in same}
    read = read_plans(path, "2d")
    assert read.arguments == cut.arguments
    written = NnUnet(read, out_channels=3)
    network = NnUnet(plans, "2d", [3, 5, 7], n_conv_per_stage_decoder=1, out_channels=3)
    assert shapes(written) == shapes(network)


def shapes(network):
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_a_configuration_that_inherits_is_written_with_all_entries(tmp_path):
    plans = read_plans(write_plans(tmp_path), "3d_lowres")
    path = write_lean(lean(plans, [2, 2]), "nnUNetLeanPlans_1", tmp_path)
    entries = json.loads(path.read_text())["configurations"]
    assert list(entries) == ["3d_lowres"]
    assert "inherits_from" not in entries["3d_lowres"]
    assert entries["3d_lowres"]["spacing"] == [2.0, 2.0, 2.0]
    assert entries["3d_lowres"]["architecture"]["arch_kwargs"]["features_per_stage"] == [2, 2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features_per_stage": [4]}, r"features_per_stage: got \[4\], wanted at least 2 positive integers"),
        ({"features_per_stage": [4] * 5}, r"features_per_stage: got \[4, 4, 4, 4, 4\], wanted at most 4 numbers"),
        ({"features_per_stage": [4, 0]}, r"features_per_stage: got \[4, 0\], wanted at least 2 positive integers"),
        (
            {"n_conv_per_stage_decoder": [1]},
            r"n_conv_per_stage_decoder: got \[1\], wanted one entry per stage, 3 in all",
        ),
        (
            {"n_conv_per_stage_decoder": [0, 1, 1]},
            "n_conv_per_stage_decoder: got .* wanted at least 1 positive integer",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(plans, changed, message):
    with pytest.raises(ValueError, match=message):
        lean(plans, **changed)
