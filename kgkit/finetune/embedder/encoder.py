"""Open the model that is trained as a SentenceTransformer with the prompts of its tasks, and leave it as a directory that works alone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kgkit.errors import KgkitError
from kgkit.finetune.embedder.recipe import EmbedderRecipe, Pooling
from kgkit.finetune.recipe import Lora
from kgkit.retrieval.tasks import Task
from kgkit.retrieval.texts import stored_prompts
from kgkit.teacher.pull import quiet_transformers

_LIBRARY = "modules.json"


def open_base(directory: Path, recipe: EmbedderRecipe, tasks: Iterable[Task]) -> Any:  # noqa: ANN401 - the library's own
    """The recipe's model: a sentence-transformers directory as it is, or an encoder or decoder with the recipe's pooling over it."""
    from sentence_transformers import SentenceTransformer

    with quiet():
        if recipe.pooling is None:
            model = SentenceTransformer(str(directory), local_files_only=True)
        else:
            model = SentenceTransformer(modules=_modules(directory, recipe.pooling))
        if recipe.lora:
            adapt(model, recipe.lora)
    model.prompts = {**(model.prompts or {}), **stored_prompts(tasks)}
    model.max_seq_length = min(recipe.context, model.max_seq_length or recipe.context)
    return model


def require_pooling(directory: Path, recipe: EmbedderRecipe) -> None:
    """Raise KgkitError for a plain model where the recipe says no pooling."""
    if recipe.pooling is None and not (directory / _LIBRARY).is_file():
        raise KgkitError(
            f"{directory} is no sentence-transformers directory (it has no {_LIBRARY}): say --set pooling=mean for an encoder, pooling=last for a decoder"
        )


def _modules(directory: Path, pooling: Pooling) -> list[Any]:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    encoder = Transformer(
        str(directory),
        model_kwargs={"local_files_only": True},
        processor_kwargs={"local_files_only": True},
        config_kwargs={"local_files_only": True},
    )
    if pooling == "last":
        _end_every_text(encoder.tokenizer)
    mode = {"mean": "mean", "last": "lasttoken"}[pooling]
    return [encoder, Pooling(encoder.get_embedding_dimension(), mode), Normalize()]


def _end_every_text(tokenizer: Any) -> None:  # noqa: ANN401
    """Have the tokenizer put its end of text behind every text, also for whoever loads it. Raises KgkitError where it has none."""
    from tokenizers.processors import TemplateProcessing

    if tokenizer.eos_token is None:
        raise KgkitError(
            "pooling=last ends each text with the tokenizer's end of text, and this one has none: say --set pooling=mean"
        )
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end[0]}", pair=f"$A $B {end[0]}", special_tokens=[end]
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def adapt(model: Any, lora: Lora) -> None:  # noqa: ANN401
    """Put a low-rank adapter over the encoder; all else is frozen."""
    from peft import LoraConfig, get_peft_model

    encoder = model[0]
    encoder.model = get_peft_model(
        encoder.model,
        LoraConfig(
            task_type="FEATURE_EXTRACTION",
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=_targets(encoder.model, lora),
        ),
    )


def _targets(encoder: Any, lora: Lora) -> list[str]:  # noqa: ANN401
    """The linear modules of the layers that are adapted, by their full names."""
    import torch

    first, last = lora.layers or (0, len(layers(encoder)))
    return [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, torch.nn.Linear)
        and (number := layer_of(name)) is not None
        and first <= number <= last
        and (lora.targets == "all-linear" or name.rpartition(".")[2] in lora.targets)
    ]


def layers(encoder: Any) -> range:  # noqa: ANN401
    """The numbers of the encoder's layers."""
    numbers = (layer_of(name) for name, _ in encoder.named_parameters())
    return range(max((each for each in numbers if each is not None), default=-1) + 1)


def layer_of(name: str) -> int | None:
    """The layer that a parameter belongs to: `encoder.layer.3.output.dense.weight` -> 3; None for one outside all layers."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def groups(model: Any, recipe: EmbedderRecipe) -> list[dict[str, Any]]:  # noqa: ANN401
    """The trained parameters as AdamW takes them: a layer learns `layer_decay` times as fast as the one above it, embeddings slowest.

    Biases and norms are not decayed.
    """
    depth = len(layers(model[0]))
    found = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            number = layer_of(name.partition(".")[2])  # the first number is the module's
            below = depth - (number + 1 if number is not None else 0)
            found.append(
                {
                    "params": [parameter],
                    "lr": recipe.learning_rate * recipe.layer_decay**below,
                    "weight_decay": recipe.weight_decay if parameter.ndim > 1 else 0.0,
                }
            )
    return found


def save(model: Any, folder: Path) -> None:  # noqa: ANN401
    """Write the model, its adapter merged, where `SentenceTransformer(folder)` finds all that it needs."""
    encoder = model[0]
    with quiet():
        if hasattr(encoder.model, "merge_and_unload"):
            encoder.model = encoder.model.merge_and_unload()
        model.save_pretrained(str(folder), create_model_card=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries tell each other, and their progress bars, off the terminal."""
    import datasets

    datasets.disable_progress_bars()
    with quiet_transformers():
        yield
