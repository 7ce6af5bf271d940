"""Formats that numpyvae does not read, each with the line of Python that converts it."""
from __future__ import annotations

import os
import zipfile

from ..files.regular import one_line
from .contents import EXPECTED
from .pictures import is_picture

# The first bytes, the name of the format, and how to make an .npy file of it.
FORMATS = (
    (b"MATLAB 5.0", "a MATLAB file", "scipy.io.loadmat(path)['NAME']"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (also MATLAB's since 7.3)", "h5py.File(path)['NAME'][:]"),
    (b"PAR1", "a Parquet file", "pandas.read_parquet(path).to_numpy()"),
    (b"ARROW1", "an Arrow file", "pandas.read_feather(path).to_numpy()"),
    (b"\x80\x02", "a pickle, which could run any program", "pickle.load(open(path, 'rb'))"),
    (b"\x80\x03", "a pickle, which could run any program", "pickle.load(open(path, 'rb'))"),
    (b"\x80\x04", "a pickle, which could run any program", "pickle.load(open(path, 'rb'))"),
    (b"\x80\x05", "a pickle, which could run any program", "pickle.load(open(path, 'rb'))"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "pandas.read_excel(path).to_numpy()"),
    (b"SIMPLE  =", "a FITS file", "astropy.io.fits.getdata(path)"),
    (b"{", "a JSON file", "pandas.read_json(path).to_numpy()"),
    (b"[", "a JSON file", "pandas.read_json(path).to_numpy()"),
    (b"<", "an HTML or XML file", "pandas.read_html(path)[0].to_numpy()"),
    (b"SQLite format 3", "an SQLite database", "pandas.read_sql('SELECT ...', sqlite3.connect(path)).to_numpy()"))
ARCHIVES = ((b"\x1f\x8b", "a gzip archive"), (b"BZh", "a bzip2 archive"), (b"\xfd7zXZ\0", "an xz archive"),
            (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!", "a RAR archive"))
PICTURES = ((b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"),
            (b"MM\0*", "TIFF"), (b"P5", "PGM"), (b"P6", "PPM"))
EMPTY_ZIP = b"PK\x05\x06"
ADVICE = "convert it with  np.save('data.npy', {})"


def name_it(path: os.PathLike[str], start: bytes) -> None:
    """Raises ValueError that names the format of a file that begins so, if it is known here."""
    for magic, name, line in FORMATS:
        if start.startswith(magic):
            raise ValueError(f"{path} is {name}; {EXPECTED}: {ADVICE.format(line)}")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        raise ValueError(f"{path} is one picture (WebP); expected a folder of pictures: name its folder")
    if start.startswith(EMPTY_ZIP):
        raise ValueError(f"{path} is a zip file without files; {EXPECTED}")
    for magic, name in PICTURES:
        if start.startswith(magic):
            raise ValueError(f"{path} is one picture ({name}); expected a folder of pictures: name its folder")
    if start[128:132] == b"DICM":
        raise ValueError(f"{path} is a DICOM file; {EXPECTED}: {ADVICE.format('pydicom.dcmread(path).pixel_array')}")
    if start[4:8] == b"ftyp":
        raise ValueError(f"{path} is a HEIC picture or a video; expected a folder of pictures such as .png or .jpg")
    if start[257:262] == b"ustar":
        raise ValueError(f"{path} is a tar archive; expected a folder: unpack it with  tar -xf")
    for magic, name in ARCHIVES:
        if start.startswith(magic):
            raise ValueError(f"{path} is {name}, but not of an IDX file; {EXPECTED}: unpack it")


def name_zip(path: os.PathLike[str], archive: zipfile.ZipFile) -> None:
    """The same for the formats that are zip files inside, and for archives of files that are to be unpacked."""
    names = [info.filename for info in archive.infolist() if not info.filename.endswith("/")]
    line = None
    if any(name.endswith("data.pkl") for name in names):
        kind, line = "a PyTorch file", "torch.load(path).numpy()"
    elif "xl/workbook.xml" in names:
        kind, line = "an Excel file", "pandas.read_excel(path).to_numpy()"
    if line is not None:
        raise ValueError(f"{path} is {kind}; {EXPECTED}: {ADVICE.format(line)}")
    if not names:
        raise ValueError(f"{path} is a zip file without files; {EXPECTED}")
    if any(map(is_picture, names)) == any(name.endswith(".npy") for name in names):
        kinds = sorted({os.path.splitext(name)[1].lower() or "no suffix" for name in names})
        raise ValueError(f"{path} is a zip file of files with {', '.join(map(one_line, kinds[:5]))}; expected pictures "
                         "alone, or an .npz file's arrays: unpack it, and name what you want of it")
