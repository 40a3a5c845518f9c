"""Strict information discarding of linear maps. Its closed form is τ √(β mean(a) / a), a: sums of squared columns."""

from math import e, log, log2, pi

import numpy as np
import pytest
import torch
from discarding_cases import CLOSED_FORMS, linear, measure_row

from bench.diagnostics.discarding import WaterFilling, strict_information_discarding
from bench.diagnostics.discarding.grids import default_grid

NATS = log(2)  # of one bit
FLOOR = -2.98350  # nats, if the map is equally sensitive to every cell


def random_weights(outputs, cells, seed=0):
    return torch.randn(outputs, cells, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("weights", "sigma", "nats"), CLOSED_FORMS)
def test_a_linear_map_has_the_closed_form(weights, sigma, nats):
    got = measure_row(linear(weights))
    assert got.sigma[0].tolist() == pytest.approx(sigma, abs=1e-7)
    assert float(got.sid_bits) * NATS == pytest.approx(nats, abs=1e-6)
    assert float(got.sid_bits) == pytest.approx(nats / NATS, abs=1e-6)
    expected = [log2(each) + 0.5 * log2(2 * pi * e) for each in sigma]
    assert got.entropy_bits[0].tolist() == pytest.approx(expected, abs=1e-4)
    assert float(got.distortion) == pytest.approx(1.5, abs=1e-9)
    assert float(got.capped) == sigma.count(1) / 3


def test_equal_sensitivity_to_every_cell_gives_the_floor():
    assert float(measure_row(linear(np.eye(3))).sid_bits) * NATS == pytest.approx(FLOOR, abs=1e-5)
    assert log(0.01) + 0.5 * log(1.5) + 0.5 * log(2 * pi * e) == pytest.approx(FLOOR, abs=1e-5)


@pytest.mark.parametrize(("beta", "tau"), [(1.5, 0.01), (4.0, 0.01), (1.5, 0.1), (0.5, 0.03)])
def test_the_closed_form_for_other_settings(beta, tau):
    weights = random_weights(5, 6)
    a = weights.square().sum(0)
    expected = log(tau) + 0.5 * log(beta) + 0.5 * log(2 * pi * e) + float(a.mean().sqrt().log() - a.log().mean() / 2)
    got = measure_row(linear(weights), cells=6, beta=beta, tau=tau)
    assert float(got.sid_bits) * NATS == pytest.approx(expected, abs=1e-9)


def test_the_sensitivity_of_a_cell_is_the_sum_over_its_pixels_and_channels():
    weights = random_weights(4, 2 * 4 * 4)
    got = strict_information_discarding(
        linear(weights), torch.rand(1, 2, 4, 4, dtype=torch.float64), grid=2, rng=torch.Generator()
    )
    a = (
        weights.square().sum(0).reshape(2, 2, 2, 2, 2).sum((0, 2, 4))
    )  # channel, row of cells, row, column of cells, column
    torch.testing.assert_close(got.sigma[0], 0.01 * (1.5 * a.sum() / 4 / a).sqrt())
    pixels = 0.01 * (1.5 * weights.square().sum() / 4 / a).sqrt()
    torch.testing.assert_close(got.sigma[0], pixels)


def test_many_outputs_are_measured_with_random_projections():
    weights = random_weights(3000, 16) * torch.logspace(-1, 0.5, 16)
    a = weights.square().sum(0)
    got = measure_row(
        linear(weights), torch.rand(2, 1, 1, 16, dtype=torch.float64), cells=16, solver=WaterFilling(probes=500)
    )
    expected = (0.01 * (1.5 * a.mean() / a).sqrt()).log2().mean() + 0.5 * log2(2 * pi * e)
    assert got.sid_bits.tolist() == pytest.approx([float(expected)] * 2, abs=0.03)
    realised = (got.sigma[:, 0].square() @ a) / (1e-4 * a.sum())
    within = (3 * got.distortion_error).clamp(min=0.03)
    assert ((realised - 1.5).abs() <= within).all()
    assert ((got.distortion - 1.5).abs() <= within).all()


# Invariances


def test_permuting_pixels_permutes_the_map():
    weights, order = random_weights(4, 5), torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        measure_row(linear(weights[:, order]), cells=5).sigma[0], measure_row(linear(weights), cells=5).sigma[0][order]
    )


@pytest.mark.parametrize("change", ["duplicated", "rotated", "scaled"])
def test_duplicated_rotated_or_scaled_outputs_do_not_change_the_result(change):
    weights = random_weights(6, 4)
    q, _ = torch.linalg.qr(random_weights(6, 6, seed=1))
    changed = {"duplicated": torch.cat([weights, weights]), "rotated": q @ weights, "scaled": 7 * weights}[change]
    torch.testing.assert_close(measure_row(linear(changed), cells=4).sigma, measure_row(linear(weights), cells=4).sigma)


def test_pixels_in_the_null_space_are_capped_and_do_not_affect_others():
    weights = random_weights(4, 3)
    blind = torch.cat([weights, torch.zeros(4, 2, dtype=torch.float64)], dim=1)
    got = measure_row(linear(blind), cells=5, sigma_max=0.7)
    assert got.sigma[0, 3:].tolist() == [0.7, 0.7]
    torch.testing.assert_close(got.sigma[0, :3], measure_row(linear(weights)).sigma[0])


def test_independent_blocks_add_up():
    one, other = random_weights(3, 3), random_weights(4, 5, seed=1)
    joint = measure_row(linear(torch.block_diag(one, other)), cells=8, normaliser=0.8e-3)
    parts = [measure_row(linear(one), normaliser=0.3e-3), measure_row(linear(other), cells=5, normaliser=0.5e-3)]
    torch.testing.assert_close(joint.sigma[0], torch.cat([part.sigma[0] for part in parts]))
    assert float(8 * joint.sid_bits) == pytest.approx(float(3 * parts[0].sid_bits + 5 * parts[1].sid_bits))


def test_every_cell_below_the_cap_contributes_the_same_distortion():
    weights = random_weights(6, 4) * torch.tensor([3.0, 1, 0.5, 0.001])
    got = measure_row(linear(weights), cells=4, sigma_max=0.5)
    contribution = got.sigma[0].square() * weights.square().sum(0)
    assert float(got.capped) == 0.25
    torch.testing.assert_close(contribution[:3], contribution[0].expand(3))
    assert contribution[3] < contribution[0]
    assert float(contribution.sum()) == pytest.approx(1.5e-4 * float(weights.square().sum()))


@pytest.mark.parametrize("channels", [4, 20])  # 64 outputs, whose whole Jacobian is computed, and 320
def test_an_image_of_a_batch_has_the_same_result_as_alone(channels):
    torch.manual_seed(0)
    f = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.Tanh(), torch.nn.Conv2d(8, channels, 3)).double()
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for solver in (WaterFilling(), WaterFilling(refine=3)):
        together = measure_row(f, x, grid=4, solver=solver)
        alone = measure_row(f, x[1], grid=4, solver=solver)
        assert alone.sigma.shape == (4, 4)
        torch.testing.assert_close(together.sigma[1], alone.sigma)
        torch.testing.assert_close(together.distortion[1], alone.distortion)


def test_volumes_have_maps_of_their_own_shape():
    f = torch.nn.Conv3d(2, 3, 3)
    got = measure_row(f, torch.rand(2, 2, 4, 8, 6), grid=(2, 4, 3))
    assert got.entropy_bits.shape == (2, 2, 4, 3)
    assert ((got.distortion - 1.5).abs() <= (3 * got.distortion_error).clamp(min=0.03)).all()
    assert measure_row(f, torch.rand(2, 4, 8, 6), grid=(2, 4, 3)).entropy_bits.shape == (2, 4, 3)


def test_cells_can_be_single_pixels():
    assert measure_row(
        linear(random_weights(3, 16)), torch.rand(1, 1, 4, 4, dtype=torch.float64), grid=4
    ).sigma.shape == (
        1,
        4,
        4,
    )
    assert default_grid((128, 120, 97)) == (16, 15, 1)


# From layer to layer


def test_discarding_can_fall_along_a_chain_with_the_published_normaliser_but_not_with_an_absolute_budget():
    first, then = np.diag([10.0, 1]), np.diag([0.1, 1])
    one, both = (measure_row(linear(w), cells=2) for w in (first, then @ first))
    assert both.sid_bits < one.sid_bits - 1  # the product is diag(1, 1)
    weights = [random_weights(6, 6, seed) for seed in range(4)]
    chain, sids = torch.eye(6, dtype=torch.float64), []
    for each in weights:
        chain = each / torch.linalg.matrix_norm(each, 2) @ chain  # no distance grows
        sids.append(float(measure_row(linear(chain), cells=6, normaliser=6e-4).sid_bits))
    assert sids == sorted(sids)


def test_a_budget_that_is_too_large_caps_every_cell():
    got = measure_row(linear(np.diag([1.0, 2, 4])), normaliser=1e6)
    assert float(got.capped) == 1
    assert float(got.distortion) == pytest.approx(21e-6)
