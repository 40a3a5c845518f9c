"""Password of the user admin of MLflow's server: set at the first start, and changed where a new one is given."""

import argparse
import os
import sys

from mlflow.exceptions import MlflowException
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

ADMIN = "admin"


def main() -> int:
    """Hold the password of the environment to the one in the database; returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("database", help="address of the database of users")
    arguments.add_argument("--change", action="store_true", help="replace a password that differs")
    given, password = arguments.parse_args(), os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
    store = SqlAlchemyStore()
    store.init_db(given.database)
    try:
        if not store.has_user(ADMIN):
            store.create_user(ADMIN, password, is_admin=True)
        is_current = store.authenticate_user(ADMIN, password)
        if not is_current and given.change:
            store.update_user(ADMIN, password=password)
            sys.stderr.write("server: changed the password of the user admin to MLFLOW_AUTH_ADMIN_PASSWORD\n")
        elif not is_current:
            sys.stderr.write(
                "server: the password of the user admin was changed in MLflow, so that the one in FOLDER/password is "
                "not valid; set MLFLOW_AUTH_ADMIN_PASSWORD to replace it\n"
            )
    except MlflowException as error:
        sys.stderr.write(f"server: got MLFLOW_AUTH_ADMIN_PASSWORD that MLflow refuses ({error.message})\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
