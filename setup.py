"""The package's page: README.md, whose links are absolute once setup.cfg has a url.  All else stands in setup.cfg."""
import configparser
import pathlib
import re

ROOT = pathlib.Path(__file__).parent
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?://|#)([^)\s]+)\)")    # and !, if it shows a picture


def page(readme: str, url: str) -> str:
    """The README as it stands, or with absolute links, and the way to install what is published there."""
    if not url:
        return readme
    readme = LINK.sub(lambda link: f"{link[1]}[{link[2]}]({url}/{'raw' if link[1] else 'blob'}/main/{link[3]})", readme)
    return readme.replace("## Quick start\n", "## Quick start\n\n    pip install numpyvae\n", 1)


if __name__ == "__main__":
    from setuptools import setup    # here, as Python 3.12 and later come without it: pip brings it for the build alone

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    setup(long_description=page((ROOT / "README.md").read_text(encoding="utf-8"), config["metadata"]["url"]),
          long_description_content_type="text/markdown")
