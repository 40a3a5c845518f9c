"""Compressed DICOM: codecs without loss, damaged files, and decoders that are not installed."""

import io

import numpy as np
import pytest
from dataset_helpers import assert_refused, dicom_slice
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders import JPEGLSLosslessDecoder

from bench.datasets.files import read_image

SLICE = np.random.default_rng(0).integers(0, 4000, (4, 5)).astype(np.uint16)  # rows, columns


def jpeg2000(pixels) -> bytes:
    """Compress (rows, columns) without loss by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG2000", no_jp2=True, irreversible=False)
    return stream.getvalue()


def test_compression_without_loss_does_not_change_values(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4000, (4, 17, 23)).astype(np.uint16)
    for at, each in enumerate(pixels):
        where = {"ImagePositionPatient": [0, 0, at], "RescaleSlope": 2, "RescaleIntercept": -1000}
        packed = [dicom_slice(each, **where) for _ in range(2)]
        packed[0].compress(uid.RLELossless)
        packed[1].file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
        packed[1].PixelData = encapsulate([jpeg2000(each)])
        packed[1]["PixelData"].is_undefined_length = True
        for name, header in zip(("rle", "jpeg2000"), packed, strict=True):
            (tmp_path / name).mkdir(exist_ok=True)
            header.save_as(tmp_path / name / f"{at}.dcm", enforce_file_format=True)
    for name in ("rle", "jpeg2000"):
        assert np.array_equal(read_image(tmp_path / name)[0], pixels.transpose(2, 1, 0).astype(int) * 2 - 1000)
        assert np.array_equal(read_image(tmp_path / name / "2.dcm")[0], pixels[2].astype(int) * 2 - 1000)
    whole = (tmp_path / "rle" / "2.dcm").read_bytes()
    (tmp_path / "rle" / "2.dcm").write_bytes(whole[:-60])
    assert_refused(r"rle/2.dcm: unreadable", read_image, tmp_path / "rle")


def test_jpeg_ls_does_not_change_values(tmp_path):
    pytest.importorskip("jpeg_ls")
    header = dicom_slice(SLICE)
    header.compress(uid.JPEGLSLossless)
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(read_image(tmp_path / "a.dcm")[0], SLICE)


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    header = dicom_slice(SLICE)
    header.PixelData = encapsulate([b"\xff\xd8compressed"])
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = uid.JPEGLSLossless
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    assert_refused(r"a.dcm: got pixels compressed by JPEG-LS Lossless Image Compression, wanted a decoder of it; "
                   r"install .*pylibjpeg-libjpeg>=\S+ .*or save it", read_image, tmp_path / "a.dcm")  # fmt: skip
    header.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert_refused(r"a.dcm: got pixels of the transfer syntax MPEG2.*, which pydicom does not decode", read_image,
                   tmp_path / "a.dcm")  # fmt: skip
