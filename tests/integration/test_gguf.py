"""What kgkit trained, as llama.cpp reads it: merged, then through llama.cpp's own converter."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.models import smollm2
from tests.walk import kgkit

CONVERTER = "convert_hf_to_gguf.py"


@pytest.mark.timeout(900)
def test_a_gguf_of_merged_weights_is_the_same_model(tmp_path: Path) -> None:
    converter = shutil.which(CONVERTER)
    if converter is None:
        pytest.skip(f"llama.cpp's {CONVERTER} is not on the path")
    smollm2()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    workspace = tmp_path / "w"
    kgkit("load", "--starter", workspace=workspace)
    few = ("stages.0.tokens=2000", "stages.0.epochs=1", "evaluate=[]", "retain=false")
    changed = [word for one in (*few, "precision=float32") for word in ("--set", one)]
    said = kgkit("finetune", "small-sft", *changed, "--merge", "--json", workspace=workspace).json
    merged = Path(said["model"]) / "merged"
    command = [sys.executable, converter, str(merged), "--outfile", str(tmp_path / "m.gguf")]
    run = subprocess.run([*command, "--outtype", "f32"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    found = []
    for directory, more in ((merged, {}), (tmp_path, {"gguf_file": "m.gguf"})):
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, **more)
        asked = [{"role": "user", "content": "On the pump, the vibration is relevant."}]
        put = AutoTokenizer.from_pretrained(directory, **more).apply_chat_template(
            asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            found.append((put["input_ids"], model(**put).logits))
    (tokens, logits), (again, same) = found
    assert torch.equal(tokens, again)
    assert torch.allclose(logits, same, atol=1e-4)
