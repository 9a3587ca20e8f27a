"""Turn the .cypher files of this folder into docs/cypher.md: `python docs/cypher/make_page.py`."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parent / "cypher.md"


def page() -> str:
    """The whole page: the introduction, then one section per query file."""
    sections = [(FOLDER / "introduction.md").read_text(encoding="utf-8").strip()]
    for number, path in enumerate(sorted(FOLDER.glob("*.cypher")), start=1):
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        title, what = (line.removeprefix("// ") for line in lines[:2])
        query = "\n".join(line for line in lines[2:])
        sections.append(
            f"## {number}. {title}\n\n{what} [`{path.name}`](cypher/{path.name})\n\n```cypher\n{query}\n```"
        )
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
