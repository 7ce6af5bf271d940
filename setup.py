"""What setup.cfg cannot say: the package's page, README.md, whose links are absolute once setup.cfg has a url; and what
a wheel takes along from beside the package, of which the repository has one copy."""
import configparser
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).parent
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?://|#)([^)\s]+)\)")    # and !, if it shows a picture
CARRIED = {    # folder, in the repository and in the wheel's package: its files
    "data": ["strokes.npz", "README.md"],
    "lessons": ["[0-9]*.ipynb"],
    "lessons/solved": ["[0-9]*.ipynb"],
    "benchmarks": ["__init__.py", "distance.py", "floor.py", "interleave.py", "peers.py", "results.py", "step.py"],
}


def page(readme: str, url: str) -> str:
    """The README as it stands, or with absolute links, and the way to install what is published there."""
    if not url:
        return readme
    readme = LINK.sub(lambda link: f"{link[1]}[{link[2]}]({url}/{'raw' if link[1] else 'blob'}/main/{link[3]})", readme)
    return readme.replace("## Quick start\n", "## Quick start\n\n    pip install numpyvae\n", 1)


def without_outputs(notebook: bytes) -> bytes:
    """A notebook that has not been run: a hundredth of the bytes, and who reads it can predict first."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def carry(package: pathlib.Path) -> None:
    """Copy what a wheel takes along into the package that is being built."""
    for folder, patterns in CARRIED.items():
        for path in sorted(path for pattern in patterns for path in (ROOT / folder).glob(pattern)):
            copy = package / folder / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            copy.write_bytes(without_outputs(content) if path.suffix == ".ipynb" else content)


if __name__ == "__main__":
    from setuptools import setup    # here, as Python 3.12 and later come without it: pip brings it for the build alone
    from setuptools.command.build_py import build_py

    class BuildWithCarried(build_py):
        def run(self) -> None:
            super().run()
            if not self.editable_mode:    # which finds all of it where it is
                carry(pathlib.Path(self.build_lib) / "numpyvae")

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    setup(long_description=page((ROOT / "README.md").read_text(encoding="utf-8"), config["metadata"]["url"]),
          long_description_content_type="text/markdown", cmdclass={"build_py": BuildWithCarried})
