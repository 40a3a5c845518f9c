import pytest
import yaml
from running import runs, stored_file, tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return the folder of a store, and its run of a tiny U-Net."""
    folder = tmp_path_factory.mktemp("trained")
    ended = tiny(folder, "estimator=[]", "diagnostic=[]", "probe.epochs=[]")
    assert ended.code == 0, ended.err
    return folder, runs(folder)[0]


@pytest.fixture
def stored(trained):
    """Return a function that replaces sections of the config of the run until the end of the test."""
    _, run = trained
    path = stored_file(run, "config.yaml")
    text = path.read_text()

    def store(**sections):
        path.write_text(yaml.safe_dump(yaml.safe_load(text) | sections))

    yield store
    path.write_text(text)
