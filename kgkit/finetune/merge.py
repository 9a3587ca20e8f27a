"""A LoRA adapter and its base as one model: what readers take that know no adapters (llama.cpp's converter among them)."""

from pathlib import Path

from kgkit.errors import UsageError
from kgkit.evaluation.models import CARD
from kgkit.teacher.pull import adapter_base, quiet_transformers
from kgkit.workspace import write_atomically

MERGED = "merged"


def merge(folder: Path, *, cache_dir: Path) -> Path:
    """Write the adapter in `folder`, merged into its base, to `folder`/merged, with the same run card.

    Raises UsageError where `folder` holds no adapter, KgkitError where its base is not at hand.
    """
    base = adapter_base(folder, cache_dir=cache_dir)
    if base is None:
        raise UsageError(f"{folder} is a whole model already: there is no adapter to merge")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)
        merged = PeftModel.from_pretrained(model, folder, local_files_only=True).merge_and_unload()
        merged.save_pretrained(folder / MERGED)
        AutoTokenizer.from_pretrained(folder, local_files_only=True).save_pretrained(
            folder / MERGED
        )
    if (folder / CARD).exists():
        write_atomically(folder / MERGED / CARD, (folder / CARD).read_bytes())
    return folder / MERGED
