import pytest
from running import runs, tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a store, and the run of a tiny U-Net in it."""
    folder = tmp_path_factory.mktemp("trained")
    ended = tiny(folder, "estimator=[]", "diagnostic=[]", "probe.epochs=[]")
    assert ended.code == 0, ended.err
    return folder, runs(folder)[0]
