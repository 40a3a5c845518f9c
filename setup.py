"""Packages of the wheel; everything else is in pyproject.toml.

The folder conf lies beside bench in a checkout. In a wheel it lies inside, as bench/conf, so that site-packages gets no
folder of so common a name. bench/config/composing.py finds it in both.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["bench*", "models*"]), "bench.conf"], package_dir={"bench.conf": "conf"})
