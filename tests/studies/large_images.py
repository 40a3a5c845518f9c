"""Train on images of 2000 by 3000 pixels by patches, and print Dice, the time and the peak of memory.

python tests/studies/large_images.py
"""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image

COUNT, SIZE, DISCS = 9, (2000, 3000), 60
SETTINGS = (
    "dataset.size=null", "dataset.patch=256", "dataset.cache=disk", "train.patches=20", "train.epochs=4",
    "train.batch_size=4", "train.loss=dice_ce", "train.optimizer.lr=0.01", "model.widths=[8,16,32]",
    "estimator=[]", "diagnostic=[]",
)  # fmt: skip


def draw(root: Path) -> None:
    """Draw discs that are brighter than the noise around them, and their masks."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number in range(COUNT):
        mask = np.zeros(SIZE, bool)
        for _ in range(DISCS):
            radius = rng.integers(20, 90)
            row, column = (rng.integers(radius, side - radius) for side in SIZE)
            y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
            mask[row - radius : row + radius + 1, column - radius : column + radius + 1] |= y**2 + x**2 <= radius**2
        image = (100 + 40 * mask + rng.normal(0, 25, SIZE)).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{number}.png")
        Image.fromarray(255 * mask.astype(np.uint8)).save(root / "masks" / f"{number}.png")


def main() -> None:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw(folder / "data")
        started, peak = time.perf_counter(), 0
        command = [sys.executable, "-m", "bench", "dataset=image_folder", "dataset.root=data", *SETTINGS]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while process.poll() is None:
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.1)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait() == 0, said
        (score,) = (line for line in said.splitlines() if line.startswith("test dice"))
        print(score)
        print(f"{time.perf_counter() - started:.0f} s, peak of memory {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
