"""Solvers for strongly non-linear activations, the published descent, and refused input."""

import numpy as np
import pytest
import torch
from discarding_cases import CLOSED_FORMS, linear, measure_row

from bench.diagnostics.discarding import PublishedDescent, WaterFilling
from bench.diagnostics.discarding.distortion import Distortion, jacobian_norms
from bench.diagnostics.discarding.optimization import Problem, entropy_ascent, find_roots, unevenness
from bench.diagnostics.discarding.water_filling import WaterLevels
from bench.errors import EstimationError, InputError


def nonlinear(x):
    """Apply a function that is strongly non-linear at the scale of the noise: half of the pixels saturate."""
    flat = x.flatten(1)
    return torch.cat([torch.tanh(60 * flat[:, :8]), flat[:, 8:] * torch.linspace(1, 30, 8)], 1)


def test_refinement_equalises_the_distortion_of_cells_and_the_closed_form_does_not():
    x = torch.zeros(1, 1, 16)

    def spread(sigma):
        _, parts = Distortion(nonlinear, x[None], (1, 16), 0.01).by_cell(sigma.reshape(1, -1), seed=5, draws=4000)
        return float((parts / parts.mean()).std())

    plain, refined = (measure_row(nonlinear, x, cells=16, solver=WaterFilling(refine=n)) for n in (0, 60))
    assert float(refined.sid_bits) > float(plain.sid_bits) + 0.02
    assert spread(refined.sigma) < spread(plain.sigma) / 2
    assert abs(float(refined.distortion) - 1.5) <= max(0.03, 3 * float(refined.distortion_error))


def test_more_steps_of_refinement_do_not_reduce_the_result():
    x = torch.zeros(1, 1, 16)
    found_by = [
        float(measure_row(nonlinear, x, cells=16, solver=WaterFilling(refine=24 * n)).sid_bits) for n in (1, 2, 5)
    ]
    assert found_by[0] <= found_by[1] + 0.01  # bits; distortions equal β within 2 %
    assert found_by[1] <= found_by[2] + 0.01


def test_refinement_reaches_the_optimum_of_a_cubic_map_and_the_closed_form_does_not():
    weights = torch.logspace(-1, 1, 8, dtype=torch.float64)
    x = torch.zeros(1, 64, 8, dtype=torch.float64)
    energy = weights.square()  # cells contribute equally if energy σ⁶ is equal
    optimum = 0.01 * (1.5 * energy.mean() / energy) ** (1 / 6)
    plain, refined = (
        measure_row(lambda x: weights * x**3, x, cells=8, solver=WaterFilling(refine=n)).sigma[0] for n in (0, 100)
    )
    assert (plain / optimum).log().abs().max() > 1
    assert (refined / optimum).log().abs().max() < 0.1


def test_a_root_search_with_short_strides_does_not_miss_a_minimum():
    def steep(at, rows):
        return torch.where(at < -0.8, 1.0, torch.where(at < 0, -1.0, 8 * at))

    at = [float(find_roots(steep, torch.tensor([0.25]), torch.tensor([9.0]), 0.01, stride)) for stride in (0.125, 1.0)]
    assert abs(at[0]) < 0.01
    assert at[1] < -0.7


def test_at_the_highest_level_every_cell_has_exactly_the_maximal_noise():
    norms = torch.rand(1000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.zeros(1, 1, 3, dtype=torch.float64)
    problem = Problem(Distortion(linear(CLOSED_FORMS[0][0]), x, (1, 3), 0.01), 1.5, 0.3, torch.Generator())
    levels = WaterLevels(problem, norms, seed=0)
    assert (levels.sigma(levels.top) == 0.3).all()
    assert (levels.sigma(levels.top - 1e-9).amin(1) < 0.3).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_ascent_finds_the_optimum_of_one_saturated_output(seed):
    weights = torch.logspace(-1, 0, 16, dtype=torch.float64)

    def saturated(x):
        # the output depends on one sum, so that all cells contribute equally at the optimum
        return torch.sigmoid(300 * (x.flatten(1) @ weights) - 6)[:, None]

    x = torch.zeros(1, 1, 1, 16, dtype=torch.float64)
    _, jacobian = jacobian_norms(saturated, x, (1, 16), 0.01, probes=1, seed=0)
    problem = Problem(Distortion(saturated, x, (1, 16), 0.01, jacobian), 1.5, 1.0, torch.Generator().manual_seed(seed))
    added = (entropy_ascent(problem, torch.full((1, 16), 0.01, dtype=torch.float64), steps=100) * weights).log()
    assert float(added.std()) < 0.2


def unevenness_of(f, sigma, sigma_max=1.0):
    x = torch.zeros(1, 1, 1, sigma.shape[1], dtype=torch.float64)
    distortion = Distortion(f, x, (1, sigma.shape[1]), 0.01)
    return unevenness(distortion, sigma, sigma_max, torch.Generator().manual_seed(0))


def test_unevenness_is_the_relative_spread_of_the_contributions_of_cells():
    cells = 4096
    sigma = torch.full((1, cells), 0.01, dtype=torch.float64)
    sigma[0, ::2] *= 3**0.5  # contributes 3 times as much: 3 and 1 differ by 1 from their mean 2
    sigma[0, :8] = 0.03  # capped
    assert float(unevenness_of(linear(np.eye(cells)), sigma, sigma_max=0.03)) == pytest.approx(0.5, abs=0.05)
    assert unevenness_of(linear(np.eye(cells)), torch.full((1, cells), 0.03), sigma_max=0.03).isnan().all()


def test_unevenness_is_low_at_the_optimum_and_high_where_the_published_descent_stops():
    f = linear(np.diag(np.logspace(-1, 1, 256)))
    assert float(unevenness_of(f, measure_row(f, cells=256).sigma.flatten(1))) < 0.1
    assert float(unevenness_of(f, measure_row(f, cells=256, solver=PublishedDescent()).sigma.flatten(1))) > 0.4


def test_a_zero_jacobian_is_measured_if_noise_changes_the_activation():
    inactive = measure_row(lambda x: torch.relu(x.flatten(1) - 0.005), torch.zeros(1, 1, 4), cells=4)
    assert abs(float(inactive.distortion) - 1.5) <= max(0.03, 3 * float(inactive.distortion_error))
    assert float(inactive.sigma.std() / inactive.sigma.mean()) < 1e-6


@pytest.mark.parametrize("refine", [0, 12])
def test_cells_have_equal_noise_where_the_slope_is_zero_even_if_another_image_of_the_batch_has_a_slope(refine):
    def stepped(x):
        flat = x.flatten(1)
        return torch.where(flat < 100, (flat > 0.005).to(flat) + 0 * flat, flat)

    x = torch.stack([torch.zeros(1, 1, 4), torch.full((1, 1, 4), 200.0)])
    got = measure_row(stepped, x, cells=4, solver=WaterFilling(refine=refine))
    assert ((got.distortion - 1.5).abs() <= (3 * got.distortion_error).clamp(min=0.03)).all()
    assert (got.sigma[0].log().std() < 1e-6).all()


def test_the_published_descent_converges_to_half_its_weight_and_returns_the_step_nearest_to_beta():
    weights = np.diag([1.0, 2, 4])
    far = PublishedDescent(weight=3.0, steps=600, rate=0.01, draws=64)  # its optimum has a distortion of 3 / 2
    assert measure_row(linear(weights), solver=far).sigma[0].tolist() == pytest.approx(CLOSED_FORMS[0][1], rel=0.1)
    short = measure_row(linear(weights), solver=PublishedDescent(draws=400))
    assert float(short.distortion) == pytest.approx(1.5, abs=0.1)
    assert short.sigma.log().std() < 0.6 * measure_row(linear(weights)).sigma.log().std()  # too flat
    assert short.sid_bits < measure_row(linear(weights)).sid_bits
    exact = measure_row(linear(weights), solver=PublishedDescent(draws=4000))
    assert exact.sigma[0].tolist() == pytest.approx(run_descent(np.square([1.0, 2, 4])), rel=0.05)


def run_descent(norms, tau=0.01, beta=1.5, weight=5.0, rate=0.004):
    """Run the published descent on expectations, for a linear map with these squared column norms."""
    logs, ends = np.log(np.full(len(norms), tau)), []
    for _ in range(100):
        shares = norms * np.exp(2 * logs) / (tau**2 * norms.sum())
        ends.append((abs(shares.sum() - beta), np.exp(logs)))
        logs = logs - rate * (2 * shares * len(norms) - weight)
    return min(ends, key=lambda end: end[0])[1].tolist()


# Bad input


@pytest.mark.parametrize(("name", "value"), [("beta", 0), ("beta", -1.5), ("tau", 0.0), ("sigma_max", float("inf"))])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=rf"{name}: got {value}, wanted a finite number above 0"):
        measure_row(linear(np.eye(3)), **{name: value})


@pytest.mark.parametrize(
    ("grid", "message"),
    [(3, r"grid: got \[3, 3\] cells for an image of \[8, 8\], wanted divisors of its sides; set grid to \[8, 8\]"),
     ((2.5, 2), "wanted a positive integer or 2 of them"), (0, "grid: got 0, wanted a positive integer")],
)  # fmt: skip
def test_a_grid_that_does_not_fit_is_refused(grid, message):
    with pytest.raises(InputError, match=message):
        measure_row(lambda x: x, torch.rand(1, 1, 8, 8), grid=grid)


def test_an_activation_without_gradient_is_refused():
    with pytest.raises(EstimationError, match="f: got an activation without gradient"):
        measure_row(lambda x: x.detach().flatten(1))


def test_an_activation_that_does_not_depend_on_the_image_is_undefined():
    with pytest.raises(
        EstimationError, match=r"undefined: the activation doesn't depend on the image beyond rounding \(δ² = 0\)"
    ):
        measure_row(lambda x: 0 * x.flatten(1))
    x = torch.stack([torch.zeros(1, 1, 3), torch.ones(1, 1, 3)])  # every unit is inactive for the first image
    half = measure_row(lambda x: torch.relu(x.flatten(1) - 0.5), x)
    assert half.sid_bits.isnan().tolist() == [True, False]
    assert half.sigma[0].isnan().all()


def test_activations_that_are_not_finite_are_an_error():
    with pytest.raises(EstimationError, match="not finite"):
        measure_row(lambda x: x.flatten(1) / 0)
