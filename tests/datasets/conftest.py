import numpy as np
import pytest
from dataset_helpers import save


@pytest.fixture
def folder(tmp_path):
    """Write ten 8x8 images a0..a9 of the constant grey level 10 * i; the left half of each mask is 255."""
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = 255
    for i in range(10):
        save(tmp_path / "images" / f"a{i}.png", np.full((8, 8), 10 * i, np.uint8))
        save(tmp_path / "masks" / f"a{i}.png", mask)
    return tmp_path
