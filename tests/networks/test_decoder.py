import pytest
import torch

from models import Decoder


@pytest.mark.parametrize(
    ("activation", "image"),
    [((6, 16, 16), (3, 16, 16)), ((32, 4, 4), (1, 28, 28)), ((5, 1, 1), (1, 20, 12)), ((84,), (1, 28, 28)),
     ((4, 2, 3, 2), (1, 8, 12, 7)), ((10,), (2, 3, 16, 8)), ((2, 16, 16), (1, 8, 8))],
)  # fmt: skip
def test_activations_of_any_shape_are_decoded_to_images(activation, image):
    decoder = Decoder(activation, image, width=4)
    x = torch.randn(3, *activation, generator=torch.Generator().manual_seed(0), requires_grad=True)
    made = decoder(x)
    assert made.shape == (3, *image)
    (gradient,) = torch.autograd.grad(made[0].sum(), x)
    assert gradient.abs().sum() > 0


def test_a_width_of_0_is_refused():
    with pytest.raises(ValueError, match="width: got 0, wanted a positive integer"):
        Decoder((4, 2, 2), (1, 4, 4), width=0)
