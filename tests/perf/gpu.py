"""Times of training and measuring on a CUDA device, with their limits: `make perf-gpu`, at most 8 minutes.

python tests/perf/gpu.py --device cpu --quick tries the script without a GPU; its times are not judged.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from bench.config.prepare import seed_everything
from bench.datasets import phantoms
from bench.diagnostics.discarding import WaterFilling, strict_information_discarding
from bench.estimators import KDE, Binning, Renyi
from bench.information.tables import Moment
from bench.layers.hooks import function_up_to
from bench.layers.probe import Probe
from bench.training.train import fit, loss_function
from models import UNet

EPOCHS = 100  # of the study
MEASURED = [0, 1, 3, 10, 25, 50, 75, 100]  # epochs of the study
STUDY, SHARE, MAP, BUSY = 120, 0.05, 3.0, 0.5  # limits: seconds, share of training, seconds, share of time
FEWER = ("calibration=false", "probe.untrained_seeds=0", "probe.views=[image]", "probe.labels=[fractions]")
LONGEST = 300  # seconds until the study is ended


class Sizes:
    """Sizes of the measurements.

    Attributes:
        side: Side of an image.
        images: Number of images.
        epochs: Epochs of the study.
        timed: Epochs from which the time of training is extrapolated.
        maps: Images whose maps of discarded information are computed.
        workers: Processes that augment images.
        overrides: Further settings of the study.
        measured: Epochs of the study in which layers are measured.
    """

    def __init__(self, quick: bool):
        self.side, self.images = (32, 96) if quick else (128, 670)
        self.epochs, self.timed = (2, 1) if quick else (EPOCHS, 5)
        self.maps, self.workers = (1, 1) if quick else (8, 8)
        self.overrides = FEWER if quick else ()
        self.measured = [epoch for epoch in MEASURED if epoch <= self.epochs]


def write_images(folder: Path, sizes: Sizes) -> None:
    """Write phantoms as a folder of images and masks."""
    data = phantoms(size=sizes.side, channels=3, n=[sizes.images - 2, 1, 1], seed=0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for row, (image, mask) in enumerate(zip(data.split("all").images, data.split("all").targets, strict=True)):
        pixels = (255 * image.clamp(0, 1)).byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(folder / "images" / f"{row:03d}.png")
        Image.fromarray(255 * mask.byte().numpy()).save(folder / "masks" / f"{row:03d}.png")


def time_study(device: str, sizes: Sizes) -> float:
    """Return the seconds of `+experiment=lee2021` in a process of its own; NaN if it takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder, "data"), sizes)
        command = [
            sys.executable, "-m", "bench", "+experiment=lee2021", "dataset.root=data", f"dataset.size={sizes.side}",
            f"device={device}", f"train.epochs={sizes.epochs}", f"train.workers={sizes.workers}",
            f"probe.epochs={sizes.measured}".replace(" ", ""), *sizes.overrides,
        ]  # fmt: skip
        started = time.perf_counter()
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=LONGEST)
            return time.perf_counter() - started
    return float("nan")


def time_measurement(device: str, sizes: Sizes) -> tuple[float, float, float]:
    """Return seconds of a training, seconds of a measurement of all layers, and the share of time of the device."""
    held = sizes.images // 10
    counts = [sizes.images - 2 * held, held, held]
    data = phantoms(size=sizes.side, channels=3, n=counts, seed=0, augment=["flips"])
    seed_everything(0)
    model = UNet(init="glorot").to(device)

    def train(epochs: int) -> float:
        ends = []
        fit(
            model, data, epochs=epochs, batch_size=16, optimizer=torch.optim.Adam(model.parameters()), schedule=None,
            loss=loss_function("dice_ce", data), amp=True, seed=0, workers=sizes.workers,
            on_epoch=lambda *_: ends.append(time.perf_counter()),
        )  # fmt: skip
        return ends[-1] - ends[0]

    train(1)  # the first steps choose algorithms
    epoch = train(sizes.timed) / sizes.timed
    busy = float("nan")
    if device == "cuda":
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            seconds = train(sizes.timed)
        busy = sum(each.self_device_time_total for each in profiled.key_averages()) / 1e6 / seconds

    estimators = {"kde": KDE(), "renyi": Renyi(alpha=2, width="median"), "binning": Binning()}
    probe = Probe(model, data, estimators, seed=0, split="all", views=["image"], budget_gb=3.0)
    started = time.perf_counter()
    layers = {row["tap"] for row in probe.measure(model, Moment(0, "best", 0))}
    measuring = time.perf_counter() - started
    assert len(layers) == 24, "the input and 23 layers"
    return epoch * sizes.epochs, measuring, busy


def time_maps(device: str, sizes: Sizes) -> float:
    """Return the seconds of the maps of discarded information of all layers, per image."""
    images = phantoms(size=sizes.side, channels=3, n=[1, 1, sizes.maps], seed=0).test.images.to(device)
    torch.manual_seed(0)
    network = UNet(init="glorot").to(device).eval()
    taps = [tap for tap in network.taps() if tap.role != "skip"]

    def measure(tap) -> None:
        activation, rng = function_up_to(network, tap), torch.Generator().manual_seed(0)
        found = strict_information_discarding(activation, images, grid=16, rng=rng, solver=WaterFilling())
        assert torch.isfinite(found.sid_bits).all()

    measure(taps[0])
    started = time.perf_counter()
    for tap in taps:
        measure(tap)
    return (time.perf_counter() - started) / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device is visible; --device cpu --quick tries the script")
    sizes = Sizes(given.quick)
    judged = given.device == "cuda" and not given.quick
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    print(f"{name}, PyTorch {torch.__version__}, {sizes.images} images of {sizes.side}×{sizes.side}")

    def show(what: str, value: float, limit: str, met: bool) -> None:
        verdict = "not judged" if not judged else "met" if met else "NOT met"
        print(f"{what:60s} {value:8.2f}   {limit:10s} {verdict}", flush=True)

    seconds = time_study(given.device, sizes)
    show(f"lee2021, {sizes.epochs} epochs, {len(sizes.measured)} measured: s", seconds, f"<= {STUDY}", seconds <= STUDY)
    training, measuring, busy = time_measurement(given.device, sizes)
    show(f"training of {sizes.epochs} epochs, extrapolated: s", training, "", True)
    show(
        "one measurement of 23 layers, share of training",
        measuring / training,
        f"<= {SHARE}",
        measuring <= SHARE * training,
    )
    show("share of the time in which the device computes", busy, f">= {BUSY}", busy >= BUSY)
    seconds = time_maps(given.device, sizes)
    show("maps of discarded information of 23 layers: s per image", seconds, f"<= {MAP}", seconds <= MAP)


if __name__ == "__main__":
    main()
