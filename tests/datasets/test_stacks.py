"""TIFF of several pages, OME-TIFF, NumPy files and NRRD: axes, channels, masks, pairs, and refused input."""

import sys
import zipfile

import nibabel
import numpy as np
import pytest
import tifffile
from dataset_helpers import assert_refused, save, save_dicom
from nnunet_files import nrrd_bytes
from PIL import Image

from bench.datasets import class_folders, image_folder
from bench.datasets.files import files_by_stem, read_image, read_mask, read_pair, shape_of
from bench.datasets.grids import align, read_grid

RNG = np.random.default_rng(0)
ZYX = RNG.integers(0, 2**16, (5, 8, 6)).astype(np.uint16)
CZYX = RNG.integers(0, 256, (2, 5, 8, 6)).astype(np.uint8)
RGB = RNG.integers(0, 256, (5, 8, 6, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "saved", "options", "read"),
    [
        ("a.tif", ZYX, {"photometric": "minisblack"}, ZYX[None]),
        ("deep3.tif", ZYX[:3], {"photometric": "minisblack"}, ZYX[None, :3]),
        ("plain.tif", ZYX, {"photometric": "minisblack", "metadata": None}, ZYX[None]),
        ("packed.tif", ZYX, {"photometric": "minisblack", "compression": "zlib"}, ZYX[None]),
        ("big.tif", ZYX.astype(">u2"), {"photometric": "minisblack", "byteorder": ">", "bigtiff": True}, ZYX[None]),
        ("float.tif", ZYX / np.float32(7), {"photometric": "minisblack"}, (ZYX / np.float32(7))[None]),
        ("rgb.tif", RGB, {"photometric": "rgb"}, RGB.transpose(3, 0, 1, 2)),
        ("a.ome.tif", ZYX, {"metadata": {"axes": "ZYX"}}, ZYX[None]),
        ("channels.ome.tif", CZYX[:, 0], {"metadata": {"axes": "CYX"}}, CZYX[:, 0]),
        ("czyx.ome.tiff", CZYX, {"metadata": {"axes": "CZYX"}}, CZYX),
        ("zcyx.ome.tif", CZYX.swapaxes(0, 1), {"metadata": {"axes": "ZCYX"}}, CZYX),
        ("one_time.ome.tif", CZYX[None], {"metadata": {"axes": "TCZYX"}}, CZYX),
        ("imagej.tif", CZYX.swapaxes(0, 1), {"imagej": True, "metadata": {"axes": "ZCYX"}}, CZYX),
    ],
)
def test_pages_are_slices_or_channels(tmp_path, name, saved, options, read):
    tifffile.imwrite(tmp_path / name, saved, **options)
    array = read_image(tmp_path / name)
    assert array.dtype.newbyteorder("=") == read.dtype.newbyteorder("=")
    assert np.array_equal(array, read)
    assert shape_of(tmp_path / name) == read.shape
    if len(read) == 1:
        assert np.array_equal(read_mask(tmp_path / name), read[0])
    else:
        assert_refused(rf"{name}: got a mask of {len(read)} channels, wanted one", read_mask, tmp_path / name)


def test_pages_of_pillow_and_alpha(tmp_path):
    pages = [Image.fromarray(page) for page in RGB[..., 0]]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate")
    assert np.array_equal(read_image(tmp_path / "a.tif")[0], RGB[..., 0])
    alpha = np.concatenate([RGB, np.full((5, 8, 6, 1), 9, np.uint8)], axis=-1)
    tifffile.imwrite(tmp_path / "b.tif", alpha, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(read_image(tmp_path / "b.tif"), RGB.transpose(3, 0, 1, 2))


def test_stacks_that_are_no_volume_are_refused(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, ZYX, metadata={"axes": "TYX"})
    assert_refused(r"a.ome.tif: got the axes TYX of 5x8x6, wanted rows and columns", read_image, path)
    tifffile.imwrite(path, np.stack([ZYX, ZYX]), metadata={"axes": "TZYX"})
    assert_refused(r"a.ome.tif: got the axes TZYX of 2x5x8x6", shape_of, path)
    path = tmp_path / "b.tif"
    tifffile.imwrite(path, ZYX, photometric="miniswhite")
    assert_refused(r"b.tif: got pages of kind MINISWHITE, wanted grey", read_image, path)
    tifffile.imwrite(path, ZYX, photometric="minisblack", extratags=[("Orientation", "H", 1, 3, True)])
    assert_refused(r"b.tif: got pages of orientation 3, wanted 1", read_image, path)
    with tifffile.TiffWriter(path) as file:
        file.write(ZYX[0], photometric="minisblack", metadata=None)
        file.write(ZYX[1, :4], photometric="minisblack", metadata=None)
    assert_refused(r"b.tif: got 2 images, wanted one; save each in its own file", read_image, path)
    tifffile.imwrite(path, ZYX, photometric="minisblack")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert_refused(r"b.tif: unreadable \(.*\), wanted a whole", read_image, path)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", ZYX, photometric="minisblack")
    save_dicom(tmp_path / "a.dcm", ZYX[0])
    for package, name, extra in (("tifffile", "a.tif", "tiff"), ("pydicom", "a.dcm", "dicom")):
        monkeypatch.setitem(sys.modules, package, None)
        message = rf"{name}: needs {package}, which is not installed; pip install 'infoflow-bench\[{extra}\]'"
        assert_refused(message, read_image, tmp_path / name)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("saved", "read"),
    [
        (ZYX[0], ZYX[0][None]),
        (ZYX, ZYX[None]),
        (RGB[0], RGB[0].transpose(2, 0, 1)),
        (RGB[0, ..., :1], RGB[0, ..., 0][None]),
        (np.asfortranarray(RGB), RGB.transpose(3, 0, 1, 2)),
        (ZYX[0] > 99, (ZYX[0] > 99)[None]),
    ],
)
def test_numpy_files(tmp_path, suffix, saved, read):
    path = tmp_path / f"a{suffix}"
    np.save(path, saved) if suffix == ".npy" else np.savez_compressed(path, image=saved)
    assert np.array_equal(read_image(path), read)
    assert shape_of(path) == read.shape
    if len(read) == 1:
        assert np.array_equal(read_mask(path), read[0])


def test_numpy_files_that_are_no_image_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}]))
    assert_refused(r"a.npy: got values of type object, wanted numbers", read_image, path)
    np.save(path, np.zeros(5))
    assert_refused(r"a.npy: got an array of shape 5, wanted 2 to 4 axes", shape_of, path)
    np.save(path, ZYX)
    path.write_bytes(path.read_bytes()[:-2])
    assert_refused(r"a.npy: unreadable \(it has 478 bytes of values, but its header states 480\)", read_image, path)
    path = tmp_path / "a.npz"
    np.savez(path, image=ZYX, mask=ZYX > 0)
    assert_refused(r"a.npz: got the arrays image.npy, mask.npy, wanted one", read_image, path)
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as member:
        claim = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(member, claim)
    assert_refused(r"a.npz: unreadable \(it has 0 bytes of values", read_image, path)


def test_nrrd_volumes_have_an_affine_and_planes_have_none(tmp_path):
    plane = CZYX[0, 0]
    (tmp_path / "a.nrrd").write_bytes(nrrd_bytes(plane, (0.5, 0.5)))
    assert np.array_equal(read_image(tmp_path / "a.nrrd"), plane[None])
    assert shape_of(tmp_path / "a.nrrd") == (1, 8, 6)
    save(tmp_path / "mask.png", (plane > 99).astype(np.uint8))
    assert np.array_equal(read_pair(tmp_path / "a.nrrd", tmp_path / "mask.png")[1], plane > 99)

    header = (
        "NRRD0004\ntype: uint16\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 8 5\nencoding: raw\n"
        "endian: little\nspace directions: (0.5,0,0) (0,0.7,0) (0,0,2)\nspace origin: (-30,-20,-9)\n\n"
    )
    (tmp_path / "b.nrrd").write_bytes(header.encode() + ZYX.tobytes())
    array, affine = read_grid(tmp_path / "b.nrrd")
    assert np.array_equal(array, ZYX.T)
    assert np.array_equal(affine, [[-0.5, 0, 0, 30], [0, -0.7, 0, 20], [0, 0, 2, -9], [0, 0, 0, 1]])
    turned = np.diag([0.5, -0.7, 2, 1])
    turned[:3, 3] = (30 - 5 * 0.5, 20, -9)  # the first axis from left to right
    nibabel.save(nibabel.Nifti1Image(np.flip(ZYX.T, 0).astype(np.int32), turned), tmp_path / "b.nii.gz")
    assert np.array_equal(read_pair(tmp_path / "b.nrrd", tmp_path / "b.nii.gz")[1], ZYX.T)
    (tmp_path / "b.nrrd").write_bytes(header.replace("left-posterior-superior", "scanner-xyz-time").encode())
    assert_refused(r"b.nrrd: got the space 'scanner-xyz-time', wanted one of", shape_of, tmp_path / "b.nrrd")


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
def test_aligned_masks_are_those_before_the_axes_were_exchanged(axes, flips):
    mask = RNG.integers(0, 9, (3, 4, 5))
    image = np.diag([-1.0, 2, 3, 1])
    image[:3, 3] = (5, 6, 7)
    change = np.zeros((4, 4))  # from a voxel of the turned mask to one of the mask
    change[3, 3] = 1
    for axis, of in enumerate(axes):
        change[of, axis] = -1 if axis in flips else 1
        change[of, 3] = mask.shape[of] - 1 if axis in flips else 0
    back, affine = align(np.flip(mask.transpose(axes), flips), image @ change, image)
    assert np.array_equal(back, mask)
    assert np.allclose(affine, image)


def test_image_folder_reads_stacks_and_stems_of_ome(tmp_path):
    for number in range(6):
        for part, array in (("images", CZYX + np.uint8(number)), ("masks", (CZYX[0] > 99).astype(np.uint8))):
            (tmp_path / part).mkdir(exist_ok=True)
            axes = {"metadata": {"axes": "CZYX"[-array.ndim :]}}
            tifffile.imwrite(tmp_path / part / f"a{number}.ome.tif", array, **axes)
    np.save(tmp_path / "masks" / "a5.npy", CZYX[0] > 99)
    (tmp_path / "masks" / "a5.ome.tif").unlink()
    data = image_folder(tmp_path, size=None)
    assert list(files_by_stem(tmp_path / "images")) == [f"a{number}" for number in range(6)]
    assert data.train.images.shape[1:] == (2, 5, 8, 6)
    for split in data.splits.values():
        for image, mask, name in zip(split.images, split.targets, split.names, strict=True):
            assert np.array_equal((image * 255).round(), CZYX + np.uint8(int(name[1])))
            assert np.array_equal(mask, CZYX[0] > 99)


def test_class_folders_read_stacks(tmp_path):
    for label, name in enumerate(("cyst", "node")):
        for number in range(6):
            (tmp_path / name).mkdir(exist_ok=True)
            np.savez(tmp_path / name / f"{number}.npz", np.full((4, 5, 6), 100 * label + number, np.uint8))
    data = class_folders(tmp_path, size=None)
    assert data.train.images.shape[1:] == (1, 4, 5, 6)
    assert (data.train.targets == (data.train.images[:, 0, 0, 0, 0] > 50 / 255)).all()


def test_nuclei_as_ome_tiff_and_back(shared_data, tmp_path):
    """The first twelve nuclei, in grey and in colour, written as OME-TIFF and read again."""
    source = shared_data / "nuclei"
    stems = sorted(path.stem for path in (source / "images").glob("*.png"))[:12]
    for stem in stems:
        for part, read in (("images", read_image), ("masks", read_mask)):
            (tmp_path / part).mkdir(exist_ok=True)
            array = read(source / part / f"{stem}.png")
            pages = array if part == "images" else array[None].astype(np.uint8)
            path = tmp_path / part / f"{stem}.ome.tif"
            tifffile.imwrite(path, pages, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
            assert np.array_equal(read(path), array)
