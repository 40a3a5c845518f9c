"""Config: the settings of every command, their checks, and the components built from them."""

from pathlib import Path

CONF = Path(__file__).parents[2] / "conf"
