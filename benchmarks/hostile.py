"""Mutated and forged files for every reader: each loads, or is refused in one line; memory stays below a cap.

    python -m benchmarks.hostile --count 10000

Every kind of file is read in a process of its own, so that its peak memory can be measured.
"""
from __future__ import annotations

import argparse
import collections
import gzip
import io
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .results import table, write_section

CAP = 64 * 2**20    # bytes of memory beyond what the process already used: the files are a few kB


class Kind:
    """A kind of file: good ones to start from, forged ones, and its reader."""

    def __init__(self, folder: pathlib.Path):
        import numpyvae as nv
        from numpyvae import export
        from numpyvae.datasets import load_images, read_idx
        self.folder = folder
        self.images = np.random.default_rng(0).integers(0, 256, (12, 6, 5), np.uint8)
        self.vae = nv.VAE.dense(30, (8,), 2, rng=np.random.default_rng(0))
        self.readers: dict[str, Callable[[pathlib.Path], Any]] = {
            "model": nv.load, "checkpoint": self.resume, "idx": read_idx, "gzip": read_idx, "npy": load_images,
            "npz": load_images, "folder": self.read_folder, "zip": load_images, "csv": load_images,
            "safetensors": lambda path: export.load(path, self.vae)}
        self.nv = nv

    def resume(self, path: pathlib.Path) -> Any:
        vae = self.vae.astype(np.float32)
        return list(self.nv.fit(vae, self.images, optimizer=self.nv.Adam(), epochs=1, batch_size=4,
                                rng=np.random.default_rng(1), resume=path))

    def read_folder(self, path: pathlib.Path) -> Any:
        from numpyvae.datasets import load_images
        path.replace(self.folder / "pictures" / "mutated.png")
        return load_images(self.folder / "pictures")

    def good(self, name: str) -> list[bytes]:
        """Files of this kind that load."""
        path, images = self.folder / "good", self.images
        idx = struct.pack(">BBBB3I", 0, 0, 8, 3, *images.shape) + images.tobytes()
        if name in ("idx", "gzip"):
            return [idx if name == "idx" else gzip.compress(idx, mtime=0)]
        if name == "model":
            self.vae.save(path)
            conv = self.nv.VAE.conv((8, 8, 1), (2, 3), 4, 2, rng=np.random.default_rng(0))
            conv.save(self.folder / "conv")
            return [path.read_bytes(), (self.folder / "conv").read_bytes()]
        if name == "checkpoint":
            runs = self.nv.fit(self.vae.astype(np.float32), images, optimizer=self.nv.Adam(), epochs=1, batch_size=4,
                               rng=np.random.default_rng(1), checkpoint=path, checkpoint_every="2 steps")
            collections.deque(runs, 0)
            return [path.read_bytes()]
        if name == "safetensors":
            from numpyvae.export.layout import state_dict
            from numpyvae.files.safetensors import as_bytes
            return [as_bytes(state_dict(self.vae.astype(dtype))) for dtype in (np.float32, np.float64)]
        if name == "folder":
            (self.folder / "pictures").mkdir(exist_ok=True)
            return list(self.pictures())
        if name == "zip":
            return [zipped([(f"{folder}/{i}.png", one) for i, one in enumerate(self.pictures())], suffix="")
                    for folder in ("cat", "a/b/../c")]
        if name == "csv":
            rows = [",".join(map(str, row)) for row in self.images.reshape(12, -1)]
            names = ",".join(f"column {i}" for i in range(30))
            semicolons = [row.replace(",", ";") for row in rows]
            return ["\n".join(lines).encode() for lines in (rows, [names, *rows], semicolons)]
        content, packed = io.BytesIO(), io.BytesIO()
        if name == "npy":
            np.save(content, images)
            np.save(packed, images / 255)
        else:
            np.savez(content, images=images, labels=np.arange(12))
            np.savez_compressed(packed, images=images, labels=np.arange(12))
        return [content.getvalue(), packed.getvalue()]

    def pictures(self) -> Iterator[bytes]:
        """A picture of the same size in each format and mode that is converted."""
        from PIL import Image
        grey = self.images[0]
        exif, transparent = Image.Exif(), np.dstack([grey] * 4)
        exif[0x0112] = 3
        for array, suffix, options in ((grey, "png", {}), (grey.astype(np.uint16) * 257, "png", {}),
                                       (transparent, "png", {}), (grey > 99, "png", {}), (grey, "jpeg", {"exif": exif}),
                                       (grey, "gif", {}), (np.float32(grey / 255), "tiff", {}), (grey, "webp", {}),
                                       (grey, "bmp", {}), (grey, "ppm", {})):
            content = io.BytesIO()
            Image.fromarray(array).save(content, suffix, **options)
            yield content.getvalue()

    def forged(self, name: str) -> Iterator[bytes]:
        """Files made to harm."""
        shapes = [(2**40,), (2**31, 2**31, 2**31), (2**63, 2), (-1, 5), (10**9, 1), (0,), (), (1,) * 40]
        headers = [npy_header(repr({"descr": descr, "fortran_order": False, "shape": shape}))
                   for shape in shapes for descr in ("|u1", "<f8", "|O", ">i8", "<c16", "|S1000000", [("a", "<f8")])]
        headers += [npy_header(text) for text in ("[" * 5000, "{'descr': '|u1'", "1 + 1", "__import__('os').getpid()",
                                                  "{'descr': 1, 'fortran_order': 2, 'shape': 3}")]
        objects = io.BytesIO()
        np.save(objects, np.array([[Evil(str(self.folder / "run"))]], object), allow_pickle=True)
        headers.append(objects.getvalue())
        if name == "npy":
            yield from headers
        elif name in ("npz", "model", "checkpoint"):
            for key in ("images", "header", "values", "../../etc/x", "/tmp/x", "a\0b", "a\nb", "\x1b[2J"):
                for header in headers:
                    yield zipped([(key, header)])
            bomb = npy_header(repr({"descr": "|u1", "fortran_order": False, "shape": (2**33, 1)})) + bytes(2**20)
            yield zipped([("images", bomb)] * 2)
            yield zipped([("images", bomb)])
            yield from self.forged_headers()
        elif name in ("idx", "gzip"):
            for lengths in ((2**32 - 1,), (2**32 - 1,) * 3, (2**31,) * 200, (0, 5), (1, 0)):
                for code in (8, 9, 11, 14, 7, 255):
                    forged = struct.pack(f">BBBB{len(lengths)}I", 0, 0, code, len(lengths), *lengths)
                    yield forged if name == "idx" else gzip.compress(forged)
            packer, block = zlib.compressobj(9, wbits=31), bytes(2**20)    # 100 MB that must never be in memory at once
            yield b"".join([packer.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 1000)),
                            *(packer.compress(block) for _ in range(100)), packer.flush()])
        elif name == "safetensors":
            yield from self.forged_safetensors()
        elif name == "csv":
            yield from (b"1," * 10**6, b'"1,2\n' * 1000, b"1,\0\n", b"a" * 10**6, b"," * 10**5, b"\xef\xbb\xbf",
                        b"a,b\n" + b"1,2\n" * 10**5, b"1e999,2\n", b"1,2\n3" + b"0" * 10**5 + b",4\n",
                        b"\xff\xfe1\0,\x002\0")
        else:
            start = struct.pack(">8sI4s", b"\x89PNG\r\n\x1a\n", 13, b"IHDR")
            pictures = [start + struct.pack(">IIBBBBBI", side, side, bits, colour, 0, 0, 0, 0) + bytes(1000)
                        for side in (2**31 - 1, 30_000, 8000, 3000) for bits in (1, 8, 16)
                        for colour in (0, 2, 3, 4, 6)]
            pictures += [b"GIF89a" + b"\xff" * 100, b"P5 60000 60000 255\n" + bytes(100), b"%!PS-Adobe-3.0 EPSF-3.0\n"]
            if name == "folder":
                yield from pictures
            else:
                yield from (zipped([(f"{i}.png", one)], suffix="") for i, one in enumerate(pictures))
                yield zipped([("bomb.png", bytes(10**8))], suffix="")
                yield zipped([(f"{'../' * 50}etc/{i}.png", b"") for i in range(2000)], suffix="")

    def forged_headers(self) -> Iterator[bytes]:
        """Models whose parts (in format 1, whose configuration) ask for terabytes, or are no parts at all."""
        from numpyvae.models.tree import tree_of
        tree, values = tree_of(self.vae), self.vae.parameters.values
        config = {"n_data": 30, "hidden": [8], "n_latent": 2, "likelihood": "bernoulli", "activation": "relu",
                  "beta": 1.0, "init": "fan-in", "sigma": 1.0}
        odd = (10**9, -1, 0, "x", None, [], [10**6] * 3, [10**5] * 3, 1e308, float("nan"), {}, True, [[]], tree)

        def file(header: Any, array: np.ndarray = values) -> bytes:
            text = header if isinstance(header, str) else json.dumps(header)
            return zipped([("header", saved(np.frombuffer(text.encode(), np.uint8))), ("values", saved(array))])
        for value in odd:
            yield from (file({"format": 2, "model": changed}) for changed in with_one_changed(tree, value))
            for key in config:
                yield file({"format": 1, "kind": "VAE", "network": "dense", "config": {**config, key: value}})
        for header in ('{"format": 1}', '{"format": 2}', "[]", "null", "[" * 100_000, {"format": 3, "model": tree},
                       {"format": 1, "kind": "__class__", "config": {}}, {"format": 2, "model": {"part": "__class__"}},
                       '{"format": 2, "model": ' + '{"part": "Sequential", "layers": [' * 5000):
            yield file(header)
        for array in (np.full(5, np.nan), np.zeros(0), np.zeros((3, 3)), np.arange(5)):
            yield file({"format": 2, "model": tree}, array)
            yield file({"format": 1, "kind": "VAE", "config": config}, array)

    def forged_safetensors(self) -> Iterator[bytes]:
        """Weights whose header asks for terabytes, lays arrays over each other or outside, or is no header at all."""
        good = self.good("safetensors")[0]
        length = int.from_bytes(good[:8], "little")
        header, numbers = json.loads(good[8:8 + length]), good[8 + length:]

        def file(text: Any, promised: int | None = None) -> bytes:
            content = text if isinstance(text, bytes) else json.dumps(text).encode()
            return (len(content) if promised is None else promised).to_bytes(8, "little") + content + numbers
        odd = (2**63, -1, 0, 10**400, 1.5, "x", "F16", "BF16", None, [], [2**40] * 3, [0, 2**62], [4, 0], {}, True,
               float("nan"), header)
        for value in odd:
            yield from (file(changed) for changed in with_one_changed(header, value))
        for text in (b"[" * 100_000, b"{" + b'"a":{' * 5000, b"null", b"\xff\xfe", b"", b"{}" + b" " * 2**20,
                     b'{"a":1,"a":1}', b'{"\\u0000\\n\\u001b[2J":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'):
            yield file(text)
        yield from (file(header, promised) for promised in (0, 1, length + 8, 2**20 + 1, 2**63, 2**64 - 1))
        yield from (good[:8 + length] + np.full(len(numbers) // 4, value, "<f4").tobytes()
                    for value in (np.nan, np.inf, -np.inf))


def with_one_changed(tree: Any, value: Any) -> Iterator[Any]:
    """Copies of a tree, each with a different leaf or branch replaced by the value."""
    yield value
    if isinstance(tree, dict):
        yield from ({**tree, key: changed} for key in tree for changed in with_one_changed(tree[key], value))
    if isinstance(tree, list):
        for i in range(len(tree)):
            yield from ([*tree[:i], changed, *tree[i + 1:]] for changed in with_one_changed(tree[i], value))


class Evil:
    """What a pickle could do: this one leaves a file behind, which must never happen."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def saved(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", min(len(text), 65535)) + text.encode()[:65535]


def zipped(members: list[tuple[str, bytes]], suffix: str = ".npy") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members:
            archive.writestr(f"{name}{suffix}", member)
    return content.getvalue()


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four accidents: a bit, a byte, a number in the header, a piece lost, doubled, moved or cut off."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        i, j = sorted(int(n) for n in rng.integers(0, max(len(data), 1), 2))
        i = i if rng.random() < 0.5 else i % 128    # headers are at the front
        match rng.integers(7):
            case 0 if data:
                data[i] ^= 1 << int(rng.integers(8))
            case 1 if data:
                data[i] = int(rng.choice([0, 1, 127, 128, 255]))
            case 2:
                data[i:i + 4] = struct.pack("<I", int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1])))
            case 3:
                del data[i:min(j, i + 64)]
            case 4:
                data[i:i] = data[i:min(j, i + 64)]
            case 5:
                data[i:i] = rng.bytes(int(rng.integers(1, 16)))
            case 6:
                del data[j:]
    return bytes(data)


def read_all(name: str, count: int, seed: int) -> dict[str, Any]:
    """Read every forged file and `count` mutated ones in this process; returns what became of them."""
    import resource
    import warnings
    warnings.simplefilter("ignore")
    rng, outcomes, wrong = np.random.default_rng(seed), collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        kind = Kind(pathlib.Path(folder))
        path, good, read = kind.folder / "file", kind.good(name), kind.readers[name]
        for content in good:
            path.write_bytes(content)
            read(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        forged = list(kind.forged(name))
        made = max(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        for i in range(len(forged) + count):
            content = forged[i] if i < len(forged) else mutated(good[i % len(good)], rng)
            path.write_bytes(content)
            try:
                read(path)
                outcomes["loaded"] += 1
            except (ValueError, OSError, FloatingPointError) as error:
                outcomes["refused"] += 1
                if "\n" in str(error) or type(error) not in (ValueError, FileNotFoundError, FloatingPointError):
                    wrong.append(f"{i}: {error!r}")
            except Exception as error:
                wrong.append(f"{i}: {error!r}")
        if (kind.folder / "run").exists():
            wrong.append("a pickle was run")
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - made) * 1024
    return {"kind": name, **outcomes, "wrong": wrong, "peak bytes": peak}


KINDS = ("model", "checkpoint", "idx", "gzip", "npy", "npz", "folder", "zip", "csv", "safetensors")


def read_apart(name: str, count: int, seed: int = 0) -> dict[str, Any]:
    """read_all in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.hostile", "--kind", name, "--count", str(count), "--seed",
                           str(seed)], capture_output=True, text=True, cwd=pathlib.Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"the process that read the {name} files died: {done.stderr}")
    return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutated files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="only this kind, in this process")
    options = parser.parse_args()
    if options.kind:
        print(json.dumps(read_all(options.kind, options.count, options.seed)))
        return 0
    rows, wrong = [], []
    for name in KINDS:
        found = read_apart(name, options.count, options.seed)
        wrong += [f"{name} {line}" for line in found["wrong"]]
        if found["peak bytes"] > CAP:
            wrong.append(f"{name} needed more than the cap")
        rows.append([name, f"{found.get('loaded', 0) + found.get('refused', 0) + len(found['wrong']):,}",
                     f"{found.get('loaded', 0):,}", f"{found.get('refused', 0):,}", len(found["wrong"]),
                     f"{found['peak bytes'] / 2**20:.1f}"])
        print(*rows[-1], sep="\t", flush=True)
    print(*wrong, sep="\n")
    write_section("Hostile files", f"python -m benchmarks.hostile --count {options.count}", f"""
{options.count:,} mutated files of each kind (bits, bytes, lengths and pieces changed at random, from files that load)
and the forged ones; each loads, or is refused in one line.  Anything else would be wrong: another exception, a second
line, a pickle that is run.  Memory is what a process needed beyond what it had before; the files are of a few kB, and
the cap is {CAP // 2**20} MiB.

{table(["files", "read", "loaded", "refused", "wrong", "MiB more at the peak"], rows)}
""")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
