"""What `teacher paraphrase` does and prints: more ways to put the instructions of retrieval tasks."""

from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from kgkit.cli.asking import cost_of
from kgkit.cli.output import counted, hint, hint_next, print_json, print_table, reasons, say
from kgkit.cli.progress import progress
from kgkit.cli.session import GlobalOptions, choices_in_force, evaluating, reading

if TYPE_CHECKING:
    from kgkit.evaluation.paraphrase import Paraphrased
    from kgkit.teacher.budget import Budget


def ask_for_paraphrases(
    options: GlobalOptions,
    names: list[str],
    *,
    wanted: int,
    model: str | None,
    budget: "Budget",
) -> "Paraphrased":
    """Have the teacher that the options name paraphrase these tasks, or all. Replies stay in WORKSPACE/evaluations."""
    from kgkit.evaluation.paraphrase import paraphrase
    from kgkit.expand.facts import reference_facts
    from kgkit.retrieval.paraphrases import FILE, ParaphraseInstruction
    from kgkit.retrieval.tasks import read_tasks
    from kgkit.settings import read_settings
    from kgkit.teacher.open import open_teacher

    tasks = read_tasks(names or None)
    with ExitStack() as stack:
        derivation = stack.enter_context(reading(options))
        assets, settings = derivation.assets(), read_settings()
        _, ledger = stack.enter_context(evaluating(derivation.workspace))
        choices = choices_in_force(options, derivation.workspace, settings, model=model)
        teacher = open_teacher(
            choices.teacher,
            model=choices.model,
            settings=settings,
            ledger=ledger,
            facts=lambda: reference_facts(derivation.graph, assets),
        )
        hint(options, f"teacher {teacher.name}; {counted(len(tasks), 'task')}")
        asked = [ParaphraseInstruction(task, teacher, assets, wanted=wanted) for task in tasks]
        with progress(options, expected=len(asked), cost=lambda: cost_of(budget)) as tally:
            return paraphrase(
                asked,
                teacher,
                wanted=wanted,
                path=derivation.workspace.root / FILE,
                ledger=ledger,
                budget=budget,
                on_event=tally.take,
            )


def print_paraphrased(options: GlobalOptions, found: "Paraphrased") -> None:
    """What each task has gained, what it cost, and what to run next."""
    if options.json:
        print_json({**asdict(found), "file": str(found.file)})
    else:
        print_table(
            ["task", "asked", "reply", "new", "kept", "left out"],
            [
                (name, one.asked, one.reply, one.new, one.kept, reasons(one.left_out))
                for name, one in found.tasks.items()
            ],
        )
        say(
            f"teacher {found.teacher}: {counted(found.calls, 'call')}, {found.tokens_in} tokens in, {found.tokens_out} out"
            f"{'' if found.cost is None else f', cost {found.cost:.2f}'}"
        )
        if found.file.exists():
            say(f"{found.file}: read it before you train with it")
    _say_next(options, found)


def _say_next(options: GlobalOptions, found: "Paraphrased") -> None:
    from kgkit.teacher.reference import NAME as REFERENCE

    if found.teacher == REFERENCE:
        hint(
            options,
            "the reference teacher has no words of its own: use a language model, as in --teacher local:smollm2 or "
            "--teacher http://host:port/v1 --model NAME",
        )
    elif found.stopped or any(one.reply.startswith("failed") for one in found.tasks.values()):
        why = f"stopped: {found.stopped}" if found.stopped else "some asks failed"
        hint(options, f"{why}; run the same command again to go on")
    elif found.silent:
        hint(options, "no reply was usable; try another --teacher")
    else:
        hint_next(options, "finetune embedder --set teacher_paraphrases=true")
