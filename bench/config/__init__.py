"""Config: the settings of every command, their checks, and the components built from them."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# a wheel has the folder inside the package, a checkout has it beside the package
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
