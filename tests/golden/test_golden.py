import json
import sys

import golden
import pytest


def write_recording(folder, bits: float):
    run = folder / "default" / "runs" / "0"
    run.mkdir(parents=True)
    (run / "layers.csv").write_text(f"tap,bits\nup1,0.5\nout,{bits}\n")
    (run / "run.json").write_text(json.dumps({"metrics": {}}))
    return folder


def exit_code(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["golden.py", *map(str, arguments)])
    return golden.main()


def test_equal_recordings_have_exit_code_0(tmp_path, monkeypatch, capsys):
    old, new = (write_recording(tmp_path / name, 0.25) for name in ("old", "new"))
    assert exit_code(monkeypatch, "compare", old, new) == 0
    assert capsys.readouterr().out == "the recordings are equal\n"


def test_a_changed_last_digit_and_a_new_file_are_reported(tmp_path, monkeypatch, capsys):
    old, new = write_recording(tmp_path / "old", 0.25), write_recording(tmp_path / "new", 0.2500001)
    (new / "default" / "0.out.txt").write_text("exit code 0\n")
    assert exit_code(monkeypatch, "compare", old, new) == 1
    assert capsys.readouterr().out == (
        "default/0.out.txt: only in the new recording\ndefault/runs/0/layers.csv:2\n  - out,0.25\n  + out,0.2500001\n"
    )


def test_a_renamed_column_is_no_difference(tmp_path):
    old, new = (write_recording(tmp_path / name, 0.25) for name in ("old", "new"))
    table = new / "default" / "runs" / "0" / "layers.csv"
    table.write_text(table.read_text().replace("tap,bits", "layer,bits"))
    assert list(golden.differences(old, new, {r"\btap\b": "layer"})) == []
    assert len(list(golden.differences(old, new, {}))) == 1


def test_the_order_of_rows_is_not_compared(tmp_path):
    old, new = (write_recording(tmp_path / name, 0.25) for name in ("old", "new"))
    table = new / "default" / "runs" / "0" / "layers.csv"
    header, *rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join([header, *reversed(rows)]))
    assert list(golden.differences(old, new, {})) == []


def test_an_unknown_name_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        exit_code(monkeypatch, "against", "main", "calibrated")
    assert "got 'calibrated', wanted names of commands.toml: default, lee2021" in capsys.readouterr().err


def test_a_command_that_fails_ends_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "COMMANDS", {"bad": {"run": ["nope"]}})
    with pytest.raises(SystemExit, match=r"golden: bad: `python -m bench nope` failed: bench: command: got 'nope'"):
        golden.record(golden.HERE.parents[1], tmp_path, [])
