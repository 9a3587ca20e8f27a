import subprocess
import sys

import pytest

COMMANDS = [
    [], ["load"], ["lint"], ["plan"], ["expand"], ["query"], ["export"], ["status"], ["trace"], ["rebuild"], ["stats"],
    ["doctor"], ["teacher"], ["teacher", "pull"], ["teacher", "serve"],
    ["teacher", "qualify"], ["teacher", "paraphrase"], ["content"], ["content", "copy"], ["content", "check"],
]  # fmt: skip
HEAVY = (
    "openai",
    "torch",
    "transformers",
    "pandas",
    "pyarrow",
    "numpy",
    "matplotlib",
    "sklearn",
    "tokenizers",
    "neo4j",
    "ladybug",
    "pydantic",
    "jinja2",
    "yaml",
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "kgkit", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    if command not in ([], ["teacher"], ["content"]):
        assert "Example: " in run.stdout
    else:
        assert "Commands" in run.stdout


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
try:
    from kgkit.cli import main
    main(["--help"])
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"
