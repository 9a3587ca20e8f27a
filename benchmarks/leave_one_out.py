"""Does training help on machines that it never saw, whichever these are? Every family of the sensor matrices is held out in turn.

    python -m benchmarks.leave_one_out FOLDER [--recipe teach] [--families pumps,compressors]

For each family: the starter tables under a split that holds out this family alone, the recipe trained on all others, and its questions answered
(of an embedder: the queries of the retrieval tasks; those without an asset are the same for every family) before and after, beside the baselines that need no model. FOLDER keeps the workspaces; the results of a family are written when it is
done and are not made again, nor is what was trained. Hours. Writes results/leave_one_out-RECIPE.json, with all families' questions taken together, and how much better the trained model is there than whatever else answered (intervals draw whole
families, from six on).
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from kgkit.evaluation.intervals import ENOUGH, clustered
from kgkit.finetune.recipe_files import find, kind_of, read_recipe

HERE = Path(__file__).resolve().parent
BENCHMARK = "fmsr"
SLICES = ("", "seen=all", "seen=some", "seen=none")


def kgkit(*arguments: str, content: Path, quiet: bool = True) -> str:
    """Run the command with a content folder of its own; what it printed."""
    command = [sys.executable, "-m", "kgkit", *arguments]
    stderr = subprocess.DEVNULL if quiet else None
    env = {**os.environ, "KGKIT_CONTENT": str(content)}
    run = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}\n{run.stdout}")
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
    """Scores by who answered and slice, for the questions about one family."""
    content, work = held_out(family, folder), folder / "w"
    here = ("--workspace", str(work))
    if not (work / "kgkit.toml").exists():
        kgkit(*here, "load", "--starter", "--split", f"but-{family}", content=content)
    model = work / "models" / recipe
    if not (model / "kgkit-run.yaml").exists():
        resume = ("--resume",) if (model / "recipe.yaml").exists() else ()
        kgkit(*here, "finetune", recipe, *resume, content=content, quiet=False)
    line, metric = asked(recipe, model)
    found = json.loads(kgkit(*here, "--json", "evaluate", *line, content=content))
    scores: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for one in found["scores"]:
        if one["metric"] == metric and (of := part(one)):
            scores[one["model"]][of] = {"value": one["value"], "n": one["n"]}
    said = [one for one in found["remarks"] if not one.startswith("figure:")]  # which names FOLDER
    return {"metric": metric, "scores": scores, "remarks": said}


def asked(recipe: str, model: Path) -> tuple[tuple[str, ...], str]:
    """What `kgkit evaluate` is given to measure a model, and the metric that counts."""
    if kind_of(find(recipe)) == "embedder":
        return ("retrieval", "--model", f"embedder:{model}"), "MAP@100"
    said = read_recipe(find(recipe))
    models = ("--model", f"local:{said.model}", "--model", f"local:{model}")
    return (BENCHMARK, *models, "--by", by(recipe), "--plain", "--compare"), "exact match"


def by(recipe: str) -> str:
    """How the recipe's model is asked."""
    return next(one.by for one in read_recipe(find(recipe)).evaluate if one.benchmark == BENCHMARK)


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
    """All families' questions as one set: the share that is right, by who answered and slice."""
    right: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    asked: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one in found.values():
        for who, slices in one["scores"].items():
            for slice_, score in slices.items():
                right[who][slice_] += score["value"] * score["n"]
                asked[who][slice_] += score["n"]
    return {
        who: {
            slice_: {"value": right[who][slice_] / n, "n": n} for slice_, n in slices.items() if n
        }
        for who, slices in asked.items()
    }


def beside(found: dict[str, Any], recipe: str) -> dict[str, dict[str, dict[str, float | None]]]:
    """How much better the trained model is than each other on all families' questions, with a 95 % interval over families: other -> slice -> both."""
    gains: dict[str, dict[str, list[tuple[float, str]]]] = defaultdict(lambda: defaultdict(list))
    for family, one in found.items():
        mine = one["scores"][answerer(recipe, one["scores"])]
        for who, slices in one["scores"].items():
            for slice_, score in slices.items() if slices is not mine else ():
                gain = mine[slice_]["value"] - score["value"]
                gains[who][slice_] += [(gain, family)] * int(score["n"])
    return {
        who: {slice_: gained(values) for slice_, values in slices.items() if values}
        for who, slices in gains.items()
    }


def gained(values: list[tuple[float, str]]) -> dict[str, float | None]:
    """The mean gain of questions, each with its family, and its interval; None where the families are too few."""
    gains, clusters = [gain for gain, _ in values], [family for _, family in values]
    interval = clustered(gains, clusters, seed=0) if len(set(clusters)) >= ENOUGH else None
    return {
        "difference": fmean(gains),
        "ci_low": interval.low if interval else None,
        "ci_high": interval.high if interval else None,
    }


def answerer(recipe: str, scores: dict[str, Any]) -> str:
    """What the trained model is called among those that answered."""
    embedder = kind_of(find(recipe)) == "embedder"
    wanted = recipe if embedder else f"local:{recipe} ({by(recipe)})"
    return next(who for who in scores if who == wanted)


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
        kept = families_in(path) | found  # another run may have written its own meanwhile
        results = {
            "recipe": given.recipe,
            "together": together(kept),
            "beside": beside(kept, given.recipe),
            "families": kept,
        }
        path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(family, json.dumps(results["together"]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
