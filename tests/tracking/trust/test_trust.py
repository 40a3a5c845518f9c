"""User-defined parts in stored configs: what `trust` permits, and what it does not."""

import sys

import pytest
import yaml
from reading import assert_readers_refuse
from running import assert_refused, command, composed, stored_file, tiny, uri

import bench
from bench.errors import InputError
from bench.pruning.search.base import Base
from bench.tracking.store import connect
from bench.tracking.trust import trusted_by


def test_a_user_defined_network_requires_trust(tmp_path, monkeypatch, trained, stored):
    (tmp_path / "mine_of_test").mkdir()
    (tmp_path / "mine_of_test" / "__init__.py").write_text("")
    (tmp_path / "mine_of_test" / "nets.py").write_text("import os\nfrom models import UNet\nclass Net(UNet): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder, run = trained
    own = yaml.safe_load(stored_file(run, "config.yaml").read_text())["model"] | {"_target_": "mine_of_test.nets.Net"}
    stored(model=own)
    assert_readers_refuse(trained, "trust=[mine_of_test.nets.Net] permits it for this call")
    assert "mine_of_test.nets" not in sys.modules
    for trust in (["mine_of_test"], ["mine_of_test.nets.Net"]):
        assert type(bench.load(run.info.run_id, uri(folder), trust)).__name__ == "Net"
    base = Base.of_run(connect(uri(folder), "bench"), run.info.run_id, ["mine_of_test"])
    assert base.trust == ["mine_of_test"]
    ended = tiny(folder, f"train.teacher={run.info.run_id}", "trust=[mine_of_test]", "estimator=[]", "diagnostic=[]")
    assert ended.code == 0, ended.err
    stored(model={"_target_": "mine_of_test.nets.os.system", "command": f"touch {tmp_path}/canary"})
    with pytest.raises(InputError, match="mine_of_test"):
        bench.load(run.info.run_id, uri(folder), ["mine_of_test"])
    assert not (tmp_path / "canary").exists()


def test_trust_must_be_a_list_of_names(trained):
    folder, run = trained
    for trust in ("mine", [""], ["a b"], [3]):
        with pytest.raises(InputError, match=r"trust: got .*, wanted a list of packages or full names"):
            bench.load(run.info.run_id, uri(folder), trust)
    assert_refused(command(folder, "propose", f"run={run.info.run_id}", "trust=['a b']"), "trust: got 'a b'")


def test_parts_that_the_command_of_the_user_names_are_trusted():
    config = composed("trust=[other]", "model._target_=mine.Net", "train.optimizer._target_=torch.optim.SGD")
    assert trusted_by(config) == ["other", "mine.Net"]
