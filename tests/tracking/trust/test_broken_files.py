"""Damaged, malformed or malicious files of tracked runs are refused with one line that names the run and the file."""

import io
import json
import pickle
import random
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from running import QUIET, assert_refused, command, stored_file, tiny, uri
from test_stored_configs import TouchesFile

import bench
from bench.errors import InputError
from bench.information.tables import LayerTable
from bench.pruning.judging.results import results_of
from bench.pruning.search.base import Base
from bench.tracking import records
from bench.tracking.store import connect

HTML = b"<!doctype html><html><body>Please log in</body></html>\n"
FILES = ("config.yaml", "dataset.json", "weights.pt", "layers.csv", "test.csv")


@pytest.fixture
def damaged(trained):
    """Return a function that replaces a file of the run by bytes, or by a folder (None), until the end of the test."""
    _, run = trained
    whole = {name: stored_file(run, name).read_bytes() for name in FILES}

    def clear(path: Path):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def damage(name: str, content: bytes | None):
        clear(stored_file(run, name))
        stored_file(run, name).mkdir() if content is None else stored_file(run, name).write_bytes(content)

    yield damage
    for name, content in whole.items():
        damage(name, content)


def readers(folder: Path, run: str) -> dict:
    """Return a reader of each file of a run."""
    store = connect(uri(folder), "bench")
    return {
        "config.yaml": lambda: bench.load(run, store.uri),
        "weights.pt": lambda: Base.of_run(store, run),
        "dataset.json": lambda: Base.of_run(store, run),
        "layers.csv": lambda: records.layers_of(store, run),
        "test.csv": lambda: results_of(store, {run: "a"}, test=True),
    }


def refusal_of(read) -> str | None:
    """Return the error message of a reader, or None if it reads the file."""
    try:
        read()
    except InputError as error:
        return str(error)


def assert_refused_by_reader(read, run: str, name: str) -> str:
    with pytest.raises(InputError) as refusal:
        read()
    message = str(refusal.value)
    assert run in message
    assert name in message
    assert "\n" not in message
    return message


def test_damaged_files_are_refused(trained, damaged):
    folder, run = trained
    for name, read in readers(folder, run.info.run_id).items():
        whole = stored_file(run, name).read_bytes()
        cut_content = whole[: len(whole) // 3]
        for content, message in {
            b"": "an empty file",
            None: "a folder",
            HTML: "",
            cut_content: "",
            b"\xff\xfe\0": "",
        }.items():
            if (name, content) in {
                ("config.yaml", cut_content),
                ("layers.csv", cut_content),
                ("test.csv", cut_content),
            }:
                continue  # truncated text may still be valid
            damaged(name, content)
            assert message in assert_refused_by_reader(read, run.info.run_id, name)
        damaged(name, whole)
        read()


def test_files_with_other_content_are_refused(trained, damaged):
    folder, run = trained
    read = readers(folder, run.info.run_id)
    whole = json.loads(stored_file(run, "dataset.json").read_text())
    table = stored_file(run, "test.csv").read_text()
    layers = stored_file(run, "layers.csv").read_text()
    header = layers.splitlines()[0]
    of_text = f"{header}\n{re.sub(r'[^,]+', 'x', header)}\n"
    for name, content, message in [
        ("dataset.json", b"[1]", "not a data card"),
        ("dataset.json", b"{}", "not a data card"),
        ("dataset.json", json.dumps(whole | {"n": [1]}).encode(), "not a data card"),
        ("dataset.json", json.dumps(whole | {"groups": {}}).encode(), "it has no number groups.test"),
        ("dataset.json", b'{"a":' * 100_000, "not JSON"),
        ("config.yaml", b"- 1\n- 2\n", "got list"),
        ("config.yaml", b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "aliases"),
        ("config.yaml", b"a: !!python/object/apply:os.system [touch canary]\n", "not YAML"),
        ("config.yaml", b"[" * 100_000, "deeper than"),
        ("config.yaml", b"a: ${", "not YAML"),
        ("config.yaml", b"#" * (1 << 18) + b"\na: 1\n", "above the limit"),
        ("layers.csv", b"a,b\n1,2\n", "no column 'weights'"),
        (
            "layers.csv",
            of_text.encode(),
            "number",
        ),
        ("test.csv", table.replace("dice", "score").encode(), "no column 'correct'"),
        ("test.csv", (table + "0,extra,columns,and,more,of,them,than,there,are\n" * 3).encode(), "not a table"),
        ("test.csv", b'"name,group,dice\n1,2,3', "not a table"),
    ]:
        damaged(name, content)
        assert message in assert_refused_by_reader(read[name], run.info.run_id, name), (name, message)
        damaged(name, {"test.csv": table.encode(), "layers.csv": layers.encode()}.get(name, HTML))
        if name == "dataset.json":
            damaged(name, json.dumps(whole).encode())


def saved(value) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def compressed(content: bytes) -> bytes:
    """Compress an archive, as a decompression bomb would be."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as deflated:
        for entry in archive.infolist():
            deflated.writestr(entry.filename, archive.read(entry))
    return bomb.getvalue()


def test_other_objects_than_weights_are_refused(trained, damaged, tmp_path):
    folder, run = trained
    state = torch.load(stored_file(run, "weights.pt"), weights_only=True)
    first = next(iter(state))
    for content, message in [
        (saved([1, 2]), "not a state dict"),
        (saved({"a": 1}), "not a state dict"),
        (saved({1: torch.zeros(1)}), "not a state dict"),
        (saved({"a": torch.zeros(1)}), "does not fit the network"),
        (saved(state | {first: state[first][:1]}), "does not fit the network"),
        (saved({name: value for name, value in state.items() if name != first}), "does not fit the network"),
        (saved(TouchesFile(tmp_path / "canary")), "not a file of weights"),
        (pickle.dumps(TouchesFile(tmp_path / "canary")), "not a file of weights"),
        (compressed(saved({"a": torch.zeros(10**6)})), "a compressed archive"),
    ]:
        damaged("weights.pt", content)
        assert message in assert_refused_by_reader(
            lambda: bench.load(run.info.run_id, uri(folder)), run.info.run_id, "weights.pt"
        )
    assert not (tmp_path / "canary").exists()


def test_random_damage_is_read_or_refused(trained, damaged):
    """Bytes are changed, removed or repeated; a reader reads the file or refuses it with one line."""
    folder, run = trained
    rng = random.Random(0)
    for name, read in readers(folder, run.info.run_id).items():
        whole = stored_file(run, name).read_bytes()
        refusals = 0
        for _ in range(6):
            content = bytearray(whole)
            for _ in range(rng.choice((1, 3, 30))):
                at = rng.randrange(len(content))
                match rng.randrange(3):
                    case 0:
                        content[at] = rng.randrange(256)
                    case 1:
                        del content[at : at + rng.randrange(40)]
                    case 2:
                        content[at:at] = content[max(0, at - 40) : at]
            damaged(name, bytes(content))
            if message := refusal_of(read):
                refusals += 1
                assert run.info.run_id in message
                assert "\n" not in message
        damaged(name, whole)
        assert refusals or name.endswith(".csv"), name


def test_commands_refuse_damaged_files_with_one_line(trained, damaged):
    folder, run = trained
    for name in ("weights.pt", "config.yaml", "dataset.json"):
        whole = stored_file(run, name).read_bytes()
        damaged(name, HTML)
        ended = command(folder, "propose", *QUIET, f"run={run.info.run_id}", "device=cpu")
        assert_refused(ended, f"run: {name} of {run.info.run_id}")
        if name != "dataset.json":
            assert_refused(tiny(folder, f"train.teacher={run.info.run_id}"), f"train.teacher: {name} of")
        damaged(name, whole)


def test_a_layer_table_from_another_file_is_refused(tmp_path):
    for content in (b"", HTML, b"a,b\n1,2\n", b"\xff\xfe\0"):
        (tmp_path / "layers.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"layers\.csv: got no LayerTable"):
            LayerTable.from_csv(tmp_path / "layers.csv")
    with pytest.raises(InputError, match=r"nothing\.csv: got no LayerTable"):
        LayerTable.from_csv(tmp_path / "nothing.csv")
