"""Turn queries and items into the texts that an embedder reads. Embedding paper, section 3.2.

A model that learned tasks keeps their prompts in its own directory under the names that mteb looks for, `FM2S-query` and
`FM2S-document`, so that whoever loads it with sentence-transformers asks as it was trained.
"""

from collections.abc import Iterable, Mapping

from kgkit.retrieval.tasks import Task


def query_text(task: Task, shown: Mapping[str, str]) -> str:
    """`Asset: electric motor, Category: Electrical equipment, Fault: bearing damage`; a field without a value is left out."""
    return ", ".join(
        f"{label}: {shown[column]}" for column, label in task.fields.items() if shown.get(column)
    )


def query_prompt(task: Task, instruction: str | None = None) -> str:
    """What stands before a query: the task's instruction, or one of its paraphrases."""
    return f"Instruct: {instruction or task.instruction} Query: "


def item_prompt(task: Task) -> str:
    """What stands before an item: the output tag."""
    return f"{task.output_tag}: "


def prompt_names(task: Task) -> tuple[str, str]:
    """The names under which a model keeps the prompts of queries and of items."""
    return f"{task.name}-query", f"{task.name}-document"


def stored_prompts(tasks: Iterable[Task]) -> dict[str, str]:
    """Name -> prompt, as `SentenceTransformer(prompts=...)` takes them."""
    found: dict[str, str] = {}
    for task in tasks:
        of_query, of_item = prompt_names(task)
        found |= {of_query: query_prompt(task), of_item: item_prompt(task)}
    return found
