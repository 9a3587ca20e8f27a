"""Build the wheel, install it alone in a new environment, and see that the content folders came along.

Run by `make check`. The new environment borrows the dependencies of this one; kgkit comes from the wheel.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEN = """
import json, kgkit, pathlib
from kgkit import content, doctor
assert "_content" in str(content.folder("schemas")), content.folder("schemas")
assert not doctor.check_content(), doctor.check_content()
from kgkit.tables import starter_paths
assert all(path.exists() for path in starter_paths())
from kgkit.corpora.tokens import open_tokens
assert open_tokens().vocabulary == 49152
assert content.path("corpora", "tokenizer", "LICENSE").is_file()
print(pathlib.Path(kgkit.__file__).parent)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        venv.create(folder / "env", with_pip=False)
        python = folder / "env" / "bin" / "python"
        site = next((folder / "env" / "lib").glob("python*/site-packages"))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
        own = next(path for path in sys.path if path.endswith("site-packages"))
        (site / "borrowed.pth").write_text(own + "\n")
        run = subprocess.run(
            [python, "-c", SEEN], cwd=folder, check=False, capture_output=True, text=True
        )
        if run.returncode or str(site) not in run.stdout:
            sys.exit(f"the wheel {wheel.name} does not stand alone:\n{run.stdout}{run.stderr}")
        walk = [str(python), "-m", "kgkit", "--workspace", str(folder / "w"), "load", "-q"]
        subprocess.run(walk, cwd=folder, check=True, capture_output=True)
        sys.stdout.write(f"{wheel.name}: content, starter tables and command line stand alone\n")


if __name__ == "__main__":
    main()
