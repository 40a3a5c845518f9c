"""Config: the settings of every command, their checks, and the components built from them."""
