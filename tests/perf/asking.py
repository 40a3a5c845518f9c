"""Compare the time of estimating conditional information and proposing designs with one epoch of training.

python tests/perf/asking.py
"""

import time

import torch
from omegaconf import OmegaConf

from bench.config.build import build_network, fill_in
from bench.datasets import phantoms
from bench.estimators import Renyi, VInformation
from bench.pruning.designs import design_of
from bench.pruning.designs.costs import Pricing
from bench.pruning.search.asker import Asker
from bench.pruning.search.proposals import propose_designs
from bench.pruning.search.search import Search
from bench.pruning.search.tables import answers
from bench.training.train import fit, loss_function

EPOCHS = 3


def main() -> None:
    data = phantoms(n=[480, 120, 16], size=64)
    config = OmegaConf.load("conf/model/unet.yaml")
    fill_in(config, data)
    network = build_network(config, 0)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    loss = loss_function("auto", data)
    options = {"schedule": None, "loss": loss, "amp": False, "seed": 0, "on_epoch": lambda *_: None}
    started = time.perf_counter()
    fit(network, data, epochs=EPOCHS, batch_size=16, optimizer=optimizer, **options)
    epoch = (time.perf_counter() - started) / EPOCHS

    base, pricing = design_of(network), Pricing(config, (1, 64, 64))
    estimators = {"probe": VInformation(permutations=5), "renyi_2": Renyi(alpha=2, width="median", permutations=5)}
    started = time.perf_counter()
    asker = Asker(network, data, base, estimators, seed=0)
    search = Search(asker, pricing, "probe", "pixel", 0.05)
    proposals = propose_designs(search, base, {"params": 0.025, "flops": 0.25})
    answers(asker)
    asking = time.perf_counter() - started
    print(f"{len(asker.asked)} estimates on 600 images, {len(proposals)} proposals: {asking:.0f} s (wanted < 180)")
    print(f"one epoch of training: {epoch:.1f} s, ratio {asking / epoch:.0f}")


if __name__ == "__main__":
    main()
