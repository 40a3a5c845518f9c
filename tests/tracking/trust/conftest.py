import pytest
import yaml
from running import kept, runs, tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a store, and the run of a tiny U-Net in it."""
    folder = tmp_path_factory.mktemp("trained")
    ended = tiny(folder, "estimator=[]", "diagnostic=[]", "probe.epochs=[]")
    assert ended.code == 0, ended.err
    return folder, runs(folder)[0]


@pytest.fixture
def stored(trained):
    """Stores another config with the run for the length of a test: call it with the sections that differ."""
    _, run = trained
    path = kept(run, "config.yaml")
    text = path.read_text()

    def store(**sections):
        path.write_text(yaml.safe_dump(yaml.safe_load(text) | sections))

    yield store
    path.write_text(text)
