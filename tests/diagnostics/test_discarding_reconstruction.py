"""Reconstruction uncertainty of linear decoders, whose error is known, and concentration."""

from math import e, log, log2, pi

import pytest
import torch

from bench.datasets import phantoms
from bench.diagnostics.discarding import Decoders
from bench.diagnostics.discarding.grids import central_box, concentration
from bench.diagnostics.discarding.measures import reconstruction_uncertainty, squared_errors

HALF_LOG_2PIE = 0.5 * log2(2 * pi * e)


def errors(reconstruct, x, sigma, draws=1, grid=(1, 3), seed=0):
    rng = torch.Generator().manual_seed(seed)
    return squared_errors(reconstruct, x, torch.as_tensor(sigma).expand(len(x), -1), grid, draws=draws, rng=rng)


def test_without_noise_the_errors_of_a_linear_mmse_decoder_have_the_known_covariance():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 3, dtype=torch.float64, generator=generator)
    weights = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    cov = root @ root.T
    decoder = cov @ weights.T @ torch.linalg.inv(weights @ cov @ weights.T)
    x = (torch.randn(100_000, 3, dtype=torch.float64, generator=generator) @ root.T).reshape(-1, 1, 1, 3)
    got = errors(lambda x: (x.flatten(1) @ weights.T @ decoder.T).reshape(x.shape), x, [0.0, 0, 0]).mean((0, 1, 2))
    expected = (cov - decoder @ weights @ cov).diagonal()  # Σ - ΣWᵀ(WΣWᵀ)⁻¹WΣ
    torch.testing.assert_close(got, expected, rtol=0.02, atol=1e-6)
    uncertainty = reconstruction_uncertainty(got.reshape(1, 1, 1, 3))
    torch.testing.assert_close(uncertainty.flatten(), 0.5 * (2 * pi * e * expected).log2(), atol=0.02, rtol=0)


def test_the_uncertainty_of_an_identity_decoder_is_the_entropy_of_the_noise():
    sigma = [0.01, 0.1, 1.0]
    got = reconstruction_uncertainty(errors(lambda x: x, torch.zeros(1, 1, 1, 3), sigma, draws=20_000))
    expected = [log2(each) + HALF_LOG_2PIE for each in sigma]
    assert got.flatten().tolist() == pytest.approx(expected, abs=0.02)


def test_errors_are_averaged_before_the_logarithm():
    x = torch.zeros(4000, 1, 1, 3)
    drawn = torch.randn(4000, 1, 1, 3, generator=torch.Generator().manual_seed(0))  # one draw for each image
    single = reconstruction_uncertainty((drawn - x).double().square())
    assert float(single.mean() - HALF_LOG_2PIE) * log(2) == pytest.approx(-0.635, abs=0.02)  # ½ E log χ² of one draw
    averaged = reconstruction_uncertainty(drawn.double().square().mean(0, keepdim=True))
    assert float(averaged.mean()) == pytest.approx(HALF_LOG_2PIE, abs=0.02)


def test_the_map_has_a_value_for_each_pixel_averaged_over_channels():
    squares = torch.tensor([0.01, 0.04]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    got = reconstruction_uncertainty(squares)
    assert got.shape == (1, 4, 4)
    assert float(got[0, 0, 0]) == pytest.approx(HALF_LOG_2PIE + (log2(0.1) + log2(0.2)) / 2, abs=1e-5)


def test_the_error_of_a_decoder_grows_with_the_information_that_a_layer_loses():
    data = phantoms(n=(64, 16, 8), size=16, difficulty=0.0)
    train, test = data.train.images, data.test.images

    def error(f):
        decoder = Decoders(images=64, epochs=60, rate=0.01, width=8).train(f, train, seed=0)
        with torch.no_grad():
            return float((decoder(f(test)) - test).square().mean())

    kept, coarse, lost = (
        error(f) for f in (lambda x: x, lambda x: torch.nn.functional.avg_pool2d(x, 8), torch.zeros_like)
    )
    variance = float((test - train.mean(0)).square().mean())
    assert kept < coarse < lost
    assert kept < 0.2 * variance
    assert lost > 0.8 * variance
    assert error(lambda x: x) == kept  # the decoder depends on the seed alone


# Concentration


def test_concentration_is_a_difference_of_means_over_pixels():
    generator = torch.Generator().manual_seed(0)
    entropy = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    mask = (torch.rand(3, 8, 8, generator=generator) > 0.7).double()
    pixels = entropy.repeat_interleave(2, 1).repeat_interleave(2, 2)
    expected = [float(e[m == 0].mean() - e[m == 1].mean()) for e, m in zip(pixels, mask, strict=True)]
    assert concentration(entropy, mask).tolist() == pytest.approx(expected)


def test_concentration_of_a_class_leaves_out_the_others():
    entropy = torch.tensor([[[1.0, 2.0, 6.0]]])
    mask = torch.tensor([[[0, 1, 2]]])
    background = (mask == 0).float()
    assert concentration(entropy, (mask == 1).float(), background).item() == -1
    assert concentration(entropy, (mask == 2).float(), background).item() == -5
    assert concentration(entropy, (mask > 0).float()).item() == -3


def test_concentration_of_an_image_without_foreground_is_undefined():
    assert concentration(torch.ones(1, 2, 2), torch.zeros(1, 4, 4)).isnan().all()


def test_the_central_box_takes_half_of_each_side():
    assert central_box((8, 12)).sum() == 4 * 6
    assert central_box((4, 8, 8))[1:3, 2:6, 2:6].all()
