"""Config: the settings of every command, their checks, and the components that are built from them."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# A wheel has the folder inside the package. A checkout has it beside the package.
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
# command, which is also the name of its module and function -> the name of its config in conf/
COMMANDS = {"run": "config"} | {
    name: name for name in ("measure", "calibrate", "propose", "validity", "compare", "taps", "status", "resend")
}
