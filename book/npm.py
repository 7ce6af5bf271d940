"""Files from npm, where the hash that stands beside their names decides whether they are the right ones."""
from __future__ import annotations

import base64
import hashlib
import pathlib
import shutil
import urllib.request

from numpyvae.files.regular import written_whole

SECONDS = 60


def tarball(what: str, url: str, sha512: str, folder: pathlib.Path) -> pathlib.Path:
    """A package's tarball in a folder, fetched where it is not there yet.

    sha512 : `integrity` in npm's own description of this version

    Raises OSError where it cannot be fetched, ValueError where it is another.
    """
    path = folder / url.rsplit("/", 1)[1]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer, written_whole(path) as file:
                shutil.copyfileobj(answer, file)
        except OSError as error:
            raise OSError(f"{what} cannot be fetched from {url} ({getattr(error, 'reason', error)}); expected a "
                          f"network, or the file at {path}") from None
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != sha512:
        raise ValueError(f"{path} has SHA-512 {found}; expected {sha512}: delete it, and it is fetched again")
    return path
