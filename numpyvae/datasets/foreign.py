"""Formats that numpyvae does not read, each with the line of Python that converts it."""
from __future__ import annotations

import os
import re
import zipfile

from ..files.regular import one_line
from .contents import EXPECTED
from .pictures import is_picture

ADVICE = "convert it with  np.save('data.npy', {})"
PICKLE = "pickle.load(open(path, 'rb'))"
SQL = "pandas.read_sql('SELECT ...', sqlite3.connect(path)).to_numpy()"
# How a file of the format begins, its name, and what to do with it.
FORMATS = [(pattern, name, f"{EXPECTED}: {ADVICE.format(line)}") for pattern, name, line in (
    (rb"MATLAB 5\.0", "a MATLAB file", "scipy.io.loadmat(path)['NAME']"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file (also MATLAB's since 7.3)", "h5py.File(path)['NAME'][:]"),
    (rb"PAR1", "a Parquet file", "pandas.read_parquet(path).to_numpy()"),
    (rb"ARROW1", "an Arrow file", "pandas.read_feather(path).to_numpy()"),
    (rb"\x80[\x02-\x05]", "a pickle, which could run any program", PICKLE),
    (rb"\xd0\xcf\x11\xe0", "an old Excel file", "pandas.read_excel(path).to_numpy()"),
    (rb"SIMPLE  =", "a FITS file", "astropy.io.fits.getdata(path)"),
    (rb"[{\[]", "a JSON file", "pandas.read_json(path).to_numpy()"),
    (rb"<", "an HTML or XML file", "pandas.read_html(path)[0].to_numpy()"),
    (rb"SQLite format 3", "an SQLite database", SQL),
    (rb".{128}DICM", "a DICOM file", "pydicom.dcmread(path).pixel_array"))]
FORMATS += [(pattern, f"one picture ({name})", "expected a folder of pictures: name its folder") for pattern, name in (
    (rb"\x89PNG", "PNG"), (rb"\xff\xd8\xff", "JPEG"), (rb"GIF8", "GIF"), (rb"BM", "BMP"), (rb"II\*\0|MM\0\*", "TIFF"),
    (rb"P5", "PGM"), (rb"P6", "PPM"), (rb"RIFF.{4}WEBP", "WebP"))]
FORMATS += [
    (rb".{4}ftyp", "a HEIC picture or a video", "expected a folder of pictures such as .png or .jpg"),
    (rb"PK\x05\x06", "a zip file without files", EXPECTED),
    (rb".{257}ustar", "a tar archive", "expected a folder: unpack it with  tar -xf")]
FORMATS += [(pattern, f"{name}, but not of an IDX file", f"{EXPECTED}: unpack it") for pattern, name in (
    (rb"\x1f\x8b", "a gzip archive"), (rb"BZh", "a bzip2 archive"), (rb"\xfd7zXZ\0", "an xz archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"), (rb"Rar!", "a RAR archive"))]


def name_it(path: os.PathLike[str], start: bytes) -> None:
    """Raises ValueError that names the format of a file that begins so, if it is known here."""
    for pattern, name, advice in FORMATS:
        if re.match(pattern, start, re.DOTALL):
            raise ValueError(f"{path} is {name}; {advice}")


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
