"""`python -m bench taps`: the table of modules and taps of a network."""

from running import assert_refused, command

QUIET = ("dataset.n=[2,2,2]", "dataset.size=32")


def rows(ended):
    """Return the lines of the table by module."""
    assert ended.code == 0, ended.err
    header, *lines = ended.out.splitlines()
    assert header.split() == ["module", "class", "output", "runs", "parameters", "tap"]
    return {line.split()[0]: line for line in lines}


def test_the_table_lists_the_modules_of_a_unet_with_their_taps(tmp_path):
    table = rows(command(tmp_path, "taps", "model.widths=[4,8]", *QUIET))
    assert table["enc1.conv1.0"].split()[1:] == ["Conv2d", *["4", "×", "32", "×", "32"], "1", "36"]
    assert table["enc1.conv1"].endswith("enc1.conv1 (encoder, level 1)")
    assert table["bottleneck.conv2"].endswith("bottleneck.conv2 (bottleneck, level 2)")
    assert "16 × 16" in table["bottleneck.conv2"]
    assert table["out"].split()[-5:] == ["5", "out", "(output,", "level", "1)"]
    shallow = rows(command(tmp_path, "taps", "model.widths=[4,8]", "depth=1", *QUIET))
    assert [name for name in table if "." not in name] == list(shallow)


def test_the_paths_of_a_network_without_taps_can_be_used_in_its_yaml(tmp_path):
    network = "{_target_: monai.networks.nets.DenseNet121, in_channels: 1, out_channels: 3, spatial_dims: 2}"
    listing = ("taps", "model=custom", f"+model.network={network}", "dataset.task=classification", "depth=2", *QUIET)
    table = rows(command(tmp_path, *listing, "model.taps=[]"))
    assert "level" not in "".join(table.values())
    chosen = "[{module: features.denseblock2, role: feature}, {module: class_layers.out, role: output}]"
    tapped = rows(command(tmp_path, *listing, f"model.taps={chosen}"))
    assert list(tapped) == list(table)
    assert tapped["features.denseblock2"].endswith("features.denseblock2 (feature, level 4)")


def test_bad_input_is_one_line(tmp_path):
    assert_refused(command(tmp_path, "taps", "depth=0"), "depth: got 0, wanted 1 or more")
    wrong = "[{module: features.denseblok2, role: feature}, {module: class_layers.out, role: output}]"
    ended = command(tmp_path, "taps", "model=densenet", "dataset.task=classification", f"model.taps={wrong}", *QUIET)
    assert_refused(ended, "model: taps: got 'features.denseblok2'", "the nearest are features.denseblock")
    ended = command(tmp_path, "model=densenet", "dataset.task=classification", "model.taps=[]", "dataset.size=32")
    assert_refused(ended, "model: got no taps", "`python -m bench taps model=…`")
