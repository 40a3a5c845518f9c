"""Plans of nnU-Net: their entries, and plans, configurations and images that are refused."""

import pytest
import torch
from nnunet_files import changed, plans_content, write_plans

from models import NnUnet
from models.nnunet_plans import read_plans


def test_entries_of_plans_and_of_configurations_they_inherit_from(tmp_path):
    path = write_plans(tmp_path)
    plans = read_plans(path, "3d_lowres")
    assert (plans.spacing, plans.patch_size, plans.features_per_stage) == ((2.0, 2.0, 2.0), (16, 16, 16), (4, 6, 8))
    assert plans.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2))
    assert (plans.n_stages, plans.dims, plans.arguments["n_conv_per_stage"]) == (3, 3, [2, 2, 2])


ARCHITECTURE = plans_content()["configurations"]["2d"]["architecture"]


def architecture(**arguments) -> dict:
    return ARCHITECTURE | {"arch_kwargs": ARCHITECTURE["arch_kwargs"] | arguments}


BAD_PLANS = {
    "a file of nnU-Net v1": ({"num_stages": 2, "plans_per_stage": {}}, "got plans of nnU-Net v1, wanted plans of nnU"),
    "another json": ({"labels": {}}, "got no entry configurations, wanted plans of nnU-Net v2"),
    "a list": ([1], "got a list, wanted plans"),
    "an older v2": (
        changed(plans_content(), "2d", architecture=None, UNet_class_name="PlainConvUNet"),
        r"older nnU-Net v2 \(UNet_class_name\), wanted architecture; make them again by nnUNetv2_plan_and_preprocess",
    ),
    "no spacing": (changed(plans_content(), "2d", spacing=None), "lacks spacing"),
    "another spacing": (changed(plans_content(), "2d", spacing=[1.0, 1.0, 1.0]), "spacing does not fit 2 axes"),
    "a circle": (
        changed(plans_content(), "2d", inherits_from="2d"),
        "inherits from '2d', wanted another one of 2d, 3d",
    ),
    "another network": (
        changed(plans_content(), "2d", architecture=ARCHITECTURE | {"network_class_name": "os.system"}),
        "got the network os.system, wanted one of PlainConvUNet, ResidualEncoderUNet of dynamic_network_architectures",
    ),
    "a network of the right name": (
        changed(plans_content(), "2d", architecture=ARCHITECTURE | {"network_class_name": "evil.PlainConvUNet"}),
        "got the network evil.PlainConvUNet",
    ),
    "another class": (
        changed(plans_content(), "2d", architecture=architecture(nonlin="os.system")),
        "got nonlin 'os.system', wanted one of Conv2d, InstanceNorm2d, .*LeakyReLU",
    ),
    "a class of other axes": (
        changed(plans_content(), "2d", architecture=architecture(conv_op="torch.nn.Conv3d")),
        "got conv_op 'torch.nn.Conv3d', wanted one of Conv2d",
    ),
    "too few strides": (
        changed(plans_content(), "2d", architecture=architecture(strides=[[1, 1]])),
        "got n_stages 3 and strides .*, wanted a list with one entry per stage",
    ),
    "an unknown argument": (
        changed(plans_content(), "2d", architecture=architecture(attention=True)),
        "PlainConvUNet, built from .*, refuses: .*unexpected keyword argument 'attention'",
    ),
}


@pytest.mark.parametrize("case", BAD_PLANS)
def test_bad_plans_are_refused_in_one_line(tmp_path, case):
    content, message = BAD_PLANS[case]
    path = write_plans(tmp_path, content)
    with pytest.raises(ValueError, match=message) as refusal:
        NnUnet(path, "2d", in_channels=1, out_channels=3)
    assert "\n" not in str(refusal.value)


def test_wrong_choices_are_refused(tmp_path):
    path = write_plans(tmp_path)
    with pytest.raises(ValueError, match=r"plans: got nothing, wanted the plans.json of nnU-Net; give plans=FILE"):
        NnUnet(None, "2d")
    with pytest.raises(ValueError, match=r"plans: .*missing.json: No such file"):
        NnUnet(tmp_path / "missing.json", "2d")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken.json: is no JSON"):
        NnUnet(tmp_path / "broken.json", "2d")
    with pytest.raises(ValueError, match=r"got a pickle, as nnU-Net v1 writes"):
        NnUnet(tmp_path / "plans.pkl", "2d")
    for configuration in ("3d", None):
        with pytest.raises(ValueError, match=r"configuration: got .*, wanted one of 2d, 3d_fullres, 3d_lowres"):
            NnUnet(path, configuration)
    with pytest.raises(ValueError, match=r"a stage of a cascade, which takes the masks of 3d_lowres too"):
        NnUnet(path, "3d_cascade_fullres")
    with pytest.raises(ValueError, match=r"in_channels: got 2, and configuration 2d .* images of 1 channels"):
        NnUnet(path, "2d", in_channels=2)
    with pytest.raises(ValueError, match=r"configuration: got 2d .*takes 2 axes, and images of 3; choose"):
        NnUnet(path, "2d", input_size=(16, 16, 16))
    with pytest.raises(ValueError, match=r"sides of \(18, 16\), wanted multiples of \(4, 4\), .*patches of \(16, 16\)"):
        NnUnet(path, "2d")(torch.zeros(1, 1, 18, 16))
