"""Does training help on machines that it never saw, whichever these are? Every family of the sensor matrices is held out in turn.

    python -m benchmarks.leave_one_out FOLDER [--recipe teach] [--families pumps,compressors]

For each family: the starter tables under a split that holds out this family alone, the recipe trained on all others, and its questions answered
(of an embedder: the queries of the retrieval tasks) before and after, beside the baselines that need no model. FOLDER keeps the workspaces; the results of a family are written when it is
done and are not made again, nor is what was trained; several runs may share FOLDER and the results, with families of their own. Hours. Writes results/leave_one_out-RECIPE.json, with all families' questions taken together, and how much better the trained model is there than
whatever else answered: intervals draw whole families, from six on, and hold the truth some 87 to 90 times in 100 over six to nine of them; p is of sign flips over families. Retrieval tasks with queries about no asset ask
the same of every family, so they are taken together with none.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from kgkit.errors import KgkitError
from kgkit.evaluation.intervals import ENOUGH, clustered, flipped
from kgkit.finetune.recipe_files import find, kind_of, read_recipe
from kgkit.lock import hold
from kgkit.records import digest
from kgkit.workspace import write_atomically

HERE = Path(__file__).resolve().parent
BENCHMARK = "fmsr"
SLICES = ("", "seen=all", "seen=some", "seen=none")


def kgkit(*arguments: str, content: Path, quiet: bool = True) -> str:
    """Run the command with a content folder of its own; what it printed."""
    command = [sys.executable, "-m", "kgkit", *arguments]
    stderr = subprocess.PIPE if quiet else None
    env = {**os.environ, "KGKIT_CONTENT": str(content)}
    run = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)
    if run.returncode:
        said = f"{run.stdout}\n{run.stderr or ''}".strip()[-2000:]
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}\n{said}")
    return run.stdout


def families() -> list[str]:
    """The families that the sensor matrices of the starter tables are about."""
    from kgkit.splits import read_split

    split = read_split("default")
    tables = (HERE.parent / "corpora" / "sources" / "iso17359").glob("*.csv")
    return sorted({split.family(table.stem.replace("_", " ")) for table in tables})


def held_out(family: str, folder: Path) -> Path:
    """A content folder whose split `but-FAMILY` holds out this family alone."""
    content = folder / "content"
    if not content.exists():
        kgkit("content", "copy", str(content), content=HERE.parent)
    path = content / "corpora" / "splits.yaml"
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    said["splits"][f"but-{family}"] = {"held_out": [family], "dev": []}
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return content


def measure(family: str, recipe: str, folder: Path) -> dict[str, Any]:
    """Scores by who answered and slice, for the questions about one family, and the digest of what was trained."""
    content, work = held_out(family, folder), folder / "w"
    here = ("--workspace", str(work))
    line, metric = asked(recipe, work / "models" / recipe)
    if not (work / "kgkit.toml").exists():
        kgkit(*here, "load", "--starter", "--split", f"but-{family}", content=content)
    model = work / "models" / recipe
    if not (model / "kgkit-run.yaml").exists():
        resume = ("--resume",) if (model / "recipe.yaml").exists() else ()
        kgkit(*here, "finetune", recipe, *resume, content=content, quiet=False)
    found = json.loads(kgkit(*here, "--json", "evaluate", *line, content=content))
    scores: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for one in found["scores"]:
        if one["metric"] == metric and (of := part(one)):
            scores[one["model"]][of] = {"value": one["value"], "n": one["n"]}
    said = [one for one in found["remarks"] if not one.startswith("figure:")]  # which names FOLDER
    trained = training(yaml.safe_load((model / "recipe.yaml").read_text(encoding="utf-8")))
    return {"metric": metric, "scores": scores, "remarks": said, "training": trained}


def training(recipe: dict[str, Any]) -> str:
    """The digest of what a recipe says of training. How it is called and what is asked afterwards change no weights."""
    told = ("name", "version", "title", "source", "evaluate", "retain")
    return digest({key: value for key, value in recipe.items() if key not in told})


def asked(recipe: str, model: Path) -> tuple[tuple[str, ...], str]:
    """What `kgkit evaluate` is given to measure a model, and the metric that counts."""
    if kind_of(find(recipe)) == "embedder":
        return ("retrieval", "--model", f"embedder:{model}"), "MAP@100"
    said = read_recipe(find(recipe))
    models = ("--model", f"local:{said.model}", "--model", f"local:{model}")
    return (BENCHMARK, *models, "--by", by(recipe), "--plain"), "exact match"


def by(recipe: str) -> str:
    """How the recipe's model is asked."""
    asked = read_recipe(find(recipe)).evaluate
    if way := next((one.by for one in asked if one.benchmark == BENCHMARK), None):
        return way
    raise SystemExit(f"{recipe} does not ask {BENCHMARK}")


def part(score: dict[str, Any]) -> str:
    """The slice of the questions, or the retrieval task, that a score is of; "" for one that is not kept."""
    slice_ = str(score["slice"])
    if "task" in score:
        return "" if slice_ else str(score["task"])
    return (slice_ or "all") if slice_ in SLICES else ""


def families_in(path: Path) -> dict[str, Any]:
    """The families that a file of results has."""
    return json.loads(path.read_text(encoding="utf-8"))["families"] if path.exists() else {}


def together(found: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """All families' questions as one set: the share that is right, by who answered all of them and slice."""
    right: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    asked: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one in found.values():
        for who, slices in scores_of(one).items():
            for slice_, score in slices.items():
                right[who][slice_] += score["value"] * score["n"]
                asked[who][slice_] += score["n"]
    return {
        who: {
            slice_: {"value": right[who][slice_] / n, "n": n} for slice_, n in slices.items() if n
        }
        for who, slices in asked.items()
        if all(who in scores_of(one) for one in found.values())
    }


def scores_of(one: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """What a family's scores have that is asked about this family alone, by who answered and slice or task."""
    if one["metric"] == "exact match":
        return dict(one["scores"])
    return {
        who: {task: score for task, score in tasks.items() if task not in about_none()}
        for who, tasks in one["scores"].items()
    }


@cache
def about_none() -> frozenset[str]:
    """The retrieval tasks with queries about no asset, and the mean over all."""
    tasks = (HERE.parent / "evaluation" / "retrieval").glob("*.yaml")
    some = (path.stem for path in tasks if "'' AS asset_id" in path.read_text(encoding="utf-8"))
    return frozenset({*some, "mean"})


def beside(found: dict[str, Any], recipe: str) -> dict[str, dict[str, dict[str, float | None]]]:
    """How much better the trained model is than each other on all families' questions, with a 95 % interval and p over families: other -> slice -> these."""
    gains: dict[str, dict[str, list[tuple[float, str]]]] = defaultdict(lambda: defaultdict(list))
    for family, one in found.items():
        scores = scores_of(one)
        trained = answerer(recipe, scores)
        mine = scores.pop(trained)
        for who, slices in scores.items():
            for slice_, score in slices.items():
                gain = mine[slice_]["value"] - score["value"]
                gains[who][slice_] += [(gain, family)] * int(score["n"])
    return {
        who: {slice_: gained(values) for slice_, values in slices.items() if values}
        for who, slices in gains.items()
    }


def gained(values: list[tuple[float, str]]) -> dict[str, float | None]:
    """The mean gain of questions, each with its family, and its interval; None where the families are too few."""
    gains, clusters = [gain for gain, _ in values], [family for _, family in values]
    enough = len(set(clusters)) >= ENOUGH
    interval = clustered(gains, clusters, seed=0) if enough else None
    by_family = [
        gain for gain, _ in dict.fromkeys(values)
    ]  # one for each family, as the file has it
    return {
        "families": len(by_family),
        "difference": fmean(gains),
        "ci_low": interval.low if interval else None,
        "ci_high": interval.high if interval else None,
        "p": flipped(by_family, seed=0) if enough else None,
    }


def answerer(recipe: str, scores: dict[str, Any]) -> str:
    """What the trained model is called among those that answered."""
    embedder = kind_of(find(recipe)) == "embedder"
    way = "" if embedder or by(recipe) == "letters" else f" ({by(recipe)})"
    return next(who for who in scores if who == (recipe if embedder else f"local:{recipe}{way}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="teach")
    parser.add_argument("--families", type=lambda said: said.split(","), default=None)
    given = parser.parse_args()
    path = HERE / "results" / f"leave_one_out-{given.recipe}.json"
    for family in given.families or families():
        found = {}
        if family not in families_in(path):
            folder = given.folder.resolve() / given.recipe / family
            folder.mkdir(parents=True, exist_ok=True)
            found[family] = measure(family, given.recipe, folder)
        with held(given.folder / "results.lock"):  # another run may have written its own meanwhile
            # Sorted, as what an interval draws depends on their order.
            kept = dict(sorted((families_in(path) | found).items()))
            require_alike(kept)
            results = {
                "recipe": given.recipe,
                "together": together(kept),
                "beside": beside(kept, given.recipe),
                "families": kept,
            }
            text = json.dumps(results, indent=1, sort_keys=True) + "\n"
            write_atomically(path, text.encode())
        print(family, json.dumps(results["together"]), file=sys.stderr, flush=True)


def require_alike(found: dict[str, Any]) -> None:
    """Families whose models were trained in other ways are no one result."""
    ways = defaultdict(list)
    for family, one in found.items():
        ways[one["training"]].append(family)
    if len(ways) > 1:
        apart = "; ".join(", ".join(families) for families in ways.values())
        raise SystemExit(
            f"trained by other recipes of one name: {apart}; move the older results away"
        )


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; wait for whoever has it."""
    with ExitStack() as stack:
        for _ in range(600):
            with suppress(KgkitError):
                stack.enter_context(hold(path))
                break
            time.sleep(0.5)
        else:
            raise SystemExit(f"{path} is held for minutes")
        yield


if __name__ == "__main__":
    main()
