"""Datasets, one file for each source. A public function of the file returns a `Data`.

A new dataset is a file and a yaml in conf/dataset with `_target_: bench.datasets.FILE.FUNCTION`. The functions below
also have the shorter name `bench.datasets.FUNCTION`.
"""

from bench.datasets.class_folders import class_folders
from bench.datasets.decathlon import decathlon
from bench.datasets.dsb2018 import dsb2018
from bench.datasets.image_folder import image_folder
from bench.datasets.medmnist import medmnist
from bench.datasets.mnist import fashion_mnist, mnist
from bench.datasets.nnunet import nnunet
from bench.datasets.phantoms import phantoms
from bench.datasets.table import table

__all__ = [
    "class_folders",
    "decathlon",
    "dsb2018",
    "fashion_mnist",
    "image_folder",
    "medmnist",
    "mnist",
    "nnunet",
    "phantoms",
    "table",
]
