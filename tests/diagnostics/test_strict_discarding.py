"""Strict information discarding of linear maps, whose optimum is closed: τ √(β mean(a) / a), a by squared columns."""

from math import e, log, log2, pi

import numpy as np
import pytest
import torch

from bench.diagnostics.discarding import PublishedDescent, WaterFilling, strict_information_discarding
from bench.diagnostics.discarding.distortion import Distortion
from bench.diagnostics.discarding.grids import default_grid
from bench.errors import EstimationError, InputError

NATS = log(2)  # in a bit
FLOOR = -2.98350  # nats, where every cell counts alike


def linear(weights):
    weights = torch.as_tensor(weights, dtype=torch.float64)
    return lambda x: x.flatten(1) @ weights.T


def found(f, x=None, cells=3, **settings):
    x = torch.rand(1, 1, cells, dtype=torch.float64) if x is None else x
    asked = {"grid": (1, cells), "rng": torch.Generator().manual_seed(0)} | settings
    return strict_information_discarding(f, x, **asked)


def random_weights(outputs, cells, seed=0):
    return torch.randn(outputs, cells, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


CLOSED = [  # W, σ, SID in nats
    (np.diag([1.0, 2, 4]), [0.0324037, 0.0162019, 0.0081009], -2.7036912),
    ([[1, 2, 0], [0, 1, -1], [3, 0, 1]], [0.0092195, 0.0130384, 0.0206155], -2.8837269),
    ([[1, 0, 0], [0, 2, 0]], [0.0193649, 0.0096825, 1], -1.4416387),
]


@pytest.mark.parametrize(("weights", "sigma", "nats"), CLOSED)
def test_of_a_linear_map_it_is_the_closed_form(weights, sigma, nats):
    got = found(linear(weights))
    assert got.sigma[0].tolist() == pytest.approx(sigma, abs=1e-7)
    assert float(got.sid_bits) * NATS == pytest.approx(nats, abs=1e-6)
    assert float(got.sid_bits) == pytest.approx(nats / NATS, abs=1e-6)
    expected = [log2(each) + 0.5 * log2(2 * pi * e) for each in sigma]
    assert got.entropy_bits[0].tolist() == pytest.approx(expected, abs=1e-4)
    assert float(got.distortion) == pytest.approx(1.5, abs=1e-9)
    assert float(got.capped) == sigma.count(1) / 3


def test_where_every_cell_counts_alike_it_is_the_floor():
    assert float(found(linear(np.eye(3))).sid_bits) * NATS == pytest.approx(FLOOR, abs=1e-5)
    assert log(0.01) + 0.5 * log(1.5) + 0.5 * log(2 * pi * e) == pytest.approx(FLOOR, abs=1e-5)


@pytest.mark.parametrize(("beta", "tau"), [(1.5, 0.01), (4.0, 0.01), (1.5, 0.1), (0.5, 0.03)])
def test_the_closed_form_for_other_settings(beta, tau):
    weights = random_weights(5, 6)
    a = weights.square().sum(0)
    expected = log(tau) + 0.5 * log(beta) + 0.5 * log(2 * pi * e) + float(a.mean().sqrt().log() - a.log().mean() / 2)
    got = found(linear(weights), cells=6, beta=beta, tau=tau)
    assert float(got.sid_bits) * NATS == pytest.approx(expected, abs=1e-9)


def test_a_cell_is_as_sensitive_as_its_pixels_and_channels_together():
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


def test_more_outputs_than_the_whole_jacobian_is_taken_of():
    weights = random_weights(3000, 16) * torch.logspace(-1, 0.5, 16)
    a = weights.square().sum(0)
    got = found(
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
        found(linear(weights[:, order]), cells=5).sigma[0], found(linear(weights), cells=5).sigma[0][order]
    )


@pytest.mark.parametrize("change", ["duplicated", "rotated", "scaled"])
def test_what_a_layer_looks_like_does_not_matter(change):
    weights = random_weights(6, 4)
    q, _ = torch.linalg.qr(random_weights(6, 6, seed=1))
    changed = {"duplicated": torch.cat([weights, weights]), "rotated": q @ weights, "scaled": 7 * weights}[change]
    torch.testing.assert_close(found(linear(changed), cells=4).sigma, found(linear(weights), cells=4).sigma)


def test_pixels_in_the_null_space_are_capped_and_change_nothing_for_the_others():
    weights = random_weights(4, 3)
    blind = torch.cat([weights, torch.zeros(4, 2, dtype=torch.float64)], dim=1)
    got = found(linear(blind), cells=5, sigma_max=0.7)
    assert got.sigma[0, 3:].tolist() == [0.7, 0.7]
    torch.testing.assert_close(got.sigma[0, :3], found(linear(weights)).sigma[0])


def test_independent_blocks_add_up():
    one, other = random_weights(3, 3), random_weights(4, 5, seed=1)
    joint = found(linear(torch.block_diag(one, other)), cells=8, normaliser=0.8e-3)
    parts = [found(linear(one), normaliser=0.3e-3), found(linear(other), cells=5, normaliser=0.5e-3)]
    torch.testing.assert_close(joint.sigma[0], torch.cat([part.sigma[0] for part in parts]))
    assert float(8 * joint.sid_bits) == pytest.approx(float(3 * parts[0].sid_bits + 5 * parts[1].sid_bits))


def test_every_cell_below_the_cap_carries_as_much():
    weights = random_weights(6, 4) * torch.tensor([3.0, 1, 0.5, 0.001])
    got = found(linear(weights), cells=4, sigma_max=0.5)
    carried = got.sigma[0].square() * weights.square().sum(0)
    assert float(got.capped) == 0.25
    torch.testing.assert_close(carried[:3], carried[0].expand(3))
    assert carried[3] < carried[0]
    assert float(carried.sum()) == pytest.approx(1.5e-4 * float(weights.square().sum()))


def test_images_of_a_batch_are_as_by_themselves():
    f = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.Tanh(), torch.nn.Conv2d(8, 4, 3)).double()
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for solver in (WaterFilling(), WaterFilling(refine=3)):
        together = found(f, x, grid=4, solver=solver)
        alone = found(f, x[1], grid=4, solver=solver)
        assert alone.sigma.shape == (4, 4)
        torch.testing.assert_close(together.sigma[1], alone.sigma)
        torch.testing.assert_close(together.distortion[1], alone.distortion)


def test_volumes_have_maps_of_their_own_shape():
    f = torch.nn.Conv3d(2, 3, 3)
    got = found(f, torch.rand(2, 2, 4, 8, 6), grid=(2, 4, 3))
    assert got.entropy_bits.shape == (2, 2, 4, 3)
    assert ((got.distortion - 1.5).abs() <= (3 * got.distortion_error).clamp(min=0.03)).all()
    assert found(f, torch.rand(2, 4, 8, 6), grid=(2, 4, 3)).entropy_bits.shape == (2, 4, 3)


def test_the_grid_goes_down_to_single_pixels():
    assert found(linear(random_weights(3, 16)), torch.rand(1, 1, 4, 4, dtype=torch.float64), grid=4).sigma.shape == (
        1,
        4,
        4,
    )
    assert default_grid((128, 120, 97)) == (16, 15, 1)


# Along layers


def test_the_published_normaliser_lets_discarding_fall_along_a_chain_and_an_absolute_budget_does_not():
    first, then = np.diag([10.0, 1]), np.diag([0.1, 1])
    one, both = (found(linear(w), cells=2) for w in (first, then @ first))
    assert both.sid_bits < one.sid_bits - 1  # diag(1, 1) undoes it
    weights = [random_weights(6, 6, seed) for seed in range(4)]
    chain, sids = torch.eye(6, dtype=torch.float64), []
    for each in weights:
        chain = each / torch.linalg.matrix_norm(each, 2) @ chain  # stretches no distance
        sids.append(float(found(linear(chain), cells=6, normaliser=6e-4).sid_bits))
    assert sids == sorted(sids)


def test_a_budget_beyond_reach_caps_every_cell():
    got = found(linear(np.diag([1.0, 2, 4])), normaliser=1e6)
    assert float(got.capped) == 1
    assert float(got.distortion) == pytest.approx(21e-6)


# Solvers


def bent(x):
    """Far from linear at the scale of the noise: half of the pixels saturate."""
    flat = x.flatten(1)
    return torch.cat([torch.tanh(60 * flat[:, :8]), flat[:, 8:] * torch.linspace(1, 30, 8)], 1)


def test_refinement_evens_out_what_cells_add_where_the_closed_form_does_not():
    x = torch.zeros(1, 1, 16)

    def spread(sigma):
        _, parts = Distortion(bent, x[None], (1, 16), 0.01).by_cell(sigma.reshape(1, -1), seed=5, draws=4000)
        return float((parts / parts.mean()).std())

    plain, refined = (found(bent, x, cells=16, solver=WaterFilling(refine=n)) for n in (0, 60))
    assert float(refined.sid_bits) > float(plain.sid_bits) + 0.02
    assert spread(refined.sigma) < spread(plain.sigma) / 2
    assert abs(float(refined.distortion) - 1.5) <= max(0.03, 3 * float(refined.distortion_error))


def test_a_jacobian_of_zeros_where_noise_does_move_the_activation_is_no_obstacle():
    dead = found(lambda x: torch.relu(x.flatten(1) - 0.005), torch.zeros(1, 1, 4), cells=4)
    assert abs(float(dead.distortion) - 1.5) <= max(0.03, 3 * float(dead.distortion_error))
    assert float(dead.sigma.std() / dead.sigma.mean()) < 0.5


def test_the_published_descent_tends_to_half_its_weight_and_stops_nearest_beta():
    weights = np.diag([1.0, 2, 4])
    far = PublishedDescent(weight=3.0, steps=600, rate=0.01, draws=64)  # its optimum is at 3 / 2
    assert found(linear(weights), solver=far).sigma[0].tolist() == pytest.approx(CLOSED[0][1], rel=0.1)
    short = found(linear(weights), solver=PublishedDescent(draws=400))
    assert float(short.distortion) == pytest.approx(1.5, abs=0.1)
    assert short.sigma.log().std() < 0.6 * found(linear(weights)).sigma.log().std()  # too flat
    assert short.sid_bits < found(linear(weights)).sid_bits


# Bad input


@pytest.mark.parametrize(("name", "value"), [("beta", 0), ("beta", -1.5), ("tau", 0.0), ("sigma_max", float("inf"))])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=rf"{name}: got {value}, wanted a finite number above 0"):
        found(linear(np.eye(3)), **{name: value})


@pytest.mark.parametrize(
    ("grid", "message"),
    [(3, r"grid: got \[3, 3\] cells for an image of \[8, 8\], which they don't divide; \[8, 8\] do"),
     ((2.5, 2), "wanted a positive integer or 2 of them"), (0, "grid: got 0, wanted a positive integer")],
)  # fmt: skip
def test_a_grid_that_does_not_fit_is_refused(grid, message):
    with pytest.raises(InputError, match=message):
        found(lambda x: x, torch.rand(1, 1, 8, 8), grid=grid)


def test_an_activation_without_gradient_is_refused():
    with pytest.raises(EstimationError, match="f: got an activation without gradient"):
        found(lambda x: x.detach().flatten(1))


def test_an_activation_that_does_not_depend_on_the_image_is_undefined():
    with pytest.raises(EstimationError, match=r"undefined: the activation doesn't depend on the image \(δ² = 0\)"):
        found(lambda x: 0 * x.flatten(1))
    x = torch.stack([torch.zeros(1, 1, 3), torch.ones(1, 1, 3)])  # the first is where every unit is dead
    half = found(lambda x: torch.relu(x.flatten(1) - 0.5), x)
    assert half.sid_bits.isnan().tolist() == [True, False]
    assert half.sigma[0].isnan().all()


def test_activations_that_are_not_finite_are_an_error():
    with pytest.raises(EstimationError, match="not finite"):
        found(lambda x: x.flatten(1) / 0)
