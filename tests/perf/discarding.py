"""Compare the time of information discarding at 23 taps of a U-Net with the published descent: `make perf`."""

import time

import torch

from bench.datasets import phantoms
from bench.diagnostics.discarding import PublishedDescent, WaterFilling, strict_information_discarding
from bench.diagnostics.discarding.optimization import MIN_DRAWS
from bench.diagnostics.discarding.water_filling import WANTED_ERROR
from bench.layers.hooks import function_up_to
from models import UNet

COMPARED = ("enc1.conv2", "enc3.conv2", "bottleneck.conv2", "dec3.conv2", "dec1.conv2")


def timed(network, tap, x, solver):
    started = time.perf_counter()
    found = strict_information_discarding(
        function_up_to(network, tap), x, grid=16, rng=torch.Generator().manual_seed(0), solver=solver
    )
    return found, time.perf_counter() - started


def main() -> None:
    x = phantoms(size=128, channels=3, n=[1, 1, 1], seed=0).test.images
    torch.manual_seed(0)
    network = UNet(init="glorot").eval()
    taps = [tap for tap in network.taps() if tap.role != "skip"]
    for refine in (0, 100):
        found = [timed(network, tap, x, WaterFilling(refine=refine)) for tap in taps]
        missed = max(abs(float(each.distortion) - 1.5) / 1.5 for each, _ in found)
        seconds = sum(seconds for _, seconds in found)
        print(f"{len(taps)} taps, one image of 128×128, 16×16 cells, at most {refine} steps of refinement")
        print(f"  {seconds:.1f} s (wanted < 60 without refinement); distortion within {100 * missed:.1f} % of β")
        if refine == 0:
            ours = dict(zip((tap.name for tap in taps), found, strict=True))

    print("100 steps of the published descent, each with enough draws for an error of the distortion of 0.7 %")
    times = {"ours": 0.0, "published": 0.0}
    for tap in (tap for tap in taps if tap.name in COMPARED):
        mine, seconds = ours[tap.name]
        once, _ = timed(network, tap, x, PublishedDescent(steps=1, draws=MIN_DRAWS))
        error = (
            float(once.distortion_error) * 4
        )  # this error is over 16 draws; that of the result is over 16 times as many
        draws = MIN_DRAWS * max(1, round((error / 1.5 / WANTED_ERROR) ** 2))
        theirs, long = timed(network, tap, x, PublishedDescent(draws=draws))
        times["ours"] += seconds
        times["published"] += long
        print(
            f"  {tap.name:17s} {draws:4d} draws, {long / seconds:5.1f} times as long; distortion "
            f"{float(theirs.distortion):.3f}, ours {float(mine.distortion):.3f}; SID {float(theirs.sid_bits):.3f}, "
            f"ours {float(mine.sid_bits):.3f} bits"
        )
    print(f"  in all {times['published'] / times['ours']:.1f} times as long (wanted >= 20)")


if __name__ == "__main__":
    main()
