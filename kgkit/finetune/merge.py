"""A LoRA adapter and its base as one model: what readers take that know no adapters (llama.cpp's converter among them)."""

from pathlib import Path

from kgkit.errors import KgkitError, UsageError
from kgkit.evaluation.models import CARD
from kgkit.finetune.job import number_format
from kgkit.finetune.prepared import RECIPE
from kgkit.finetune.recipe_files import read_recipe
from kgkit.teacher.pull import adapter_base, quiet_transformers
from kgkit.workspace import write_atomically

MERGED = "merged"


def merge(folder: Path, *, cache_dir: Path) -> Path:
    """Write the adapter in `folder`, merged into its base, to `folder`/merged, with the same run card.

    The sum is made in float32 and kept in the number format that the adapter was trained with: rounding it to less loses a part of
    what was learned.
    Raises UsageError where `folder` holds no adapter, KgkitError where its base is not at hand, or the disk is full.
    """
    base = adapter_base(folder, cache_dir=cache_dir)
    if base is None:
        raise UsageError(f"{folder} is a whole model already: there is no adapter to merge")
    import torch
    from peft import PeftModel
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    kept = getattr(torch, number_format(read_recipe(folder / RECIPE)))
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.float32, local_files_only=True
        )
        merged = PeftModel.from_pretrained(model, folder, local_files_only=True).merge_and_unload()
        try:
            merged.to(kept).save_pretrained(folder / MERGED)
        except SafetensorError as error:  # a full disk, as it says
            raise KgkitError(f"{folder / MERGED}: {error}") from error
        AutoTokenizer.from_pretrained(folder, local_files_only=True).save_pretrained(
            folder / MERGED
        )
    if (folder / CARD).exists():
        write_atomically(folder / MERGED / CARD, (folder / CARD).read_bytes())
    return folder / MERGED
