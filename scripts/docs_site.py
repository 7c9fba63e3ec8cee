"""Hooks of `mkdocs build`: pages that are made from files outside ``docs/``, and formulas as MathML.

Notebooks become pages with their stored outputs; the page of the command line is read off the commands themselves.
Nothing is run, and no page loads anything from another host.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Pages that are files elsewhere in the repository.
COPIED = {"reference/data.md": "data/README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_STYLE = re.compile(r"<style.*?</style>\s*", re.DOTALL)
_TAG = re.compile(r"\\tag\{(\d+)\}")
_LOADED = r'<(?:script|img|iframe|link rel="?(?:stylesheet|preconnect))\b[^>]*(?:src|href)="?'
_FOREIGN = re.compile(_LOADED + r'((?:https?:)?//[^" >]+)')
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made here to the files of the site."""
    from mkdocs.structure.files import File

    for uri, content in pages():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files outside ``docs/``, which a reader of the repository follows, into links to their pages."""
    root = "../" * page.file.src_uri.count("/")
    markdown = re.sub(rf"\]\({re.escape(root)}\.\./notebooks/(\w+)\.ipynb", rf"]({root}tutorials/\1.md", markdown)
    for uri, source in COPIED.items():
        markdown = markdown.replace(f"]({root}../{source}", f"]({root}{uri}")
    return markdown


def on_page_content(text: str, **_: Any) -> str:
    """Replace the formulas of a page, which arithmatex has marked, by MathML."""
    return _FORMULA.sub(lambda match: _formula(html.unescape(match[3]), match[2] == "["), text)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would load something from another host."""
    if found := _FOREIGN.search(output):
        raise ValueError(f"{page.file.src_uri} loads {found[1]}: keep the site self-contained")
    return output


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Address and content of each page and picture that is made here."""
    for uri, source in COPIED.items():
        # links of the copy start from its place in the site
        text = (ROOT / source).read_text(encoding="utf-8").replace("](../docs/", "](docs/")
        yield uri, text.replace("](docs/", "](" + "../" * uri.count("/"))
    yield "reference/cli.md", command_page()
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pictures: dict[str, bytes] = {}
        yield f"tutorials/{notebook.stem}.md", notebook_page(notebook, pictures)
        yield from ((f"tutorials/{name}", content) for name, content in pictures.items())


# --- formulas -----------------------------------------------------------------------------------------------------


def _formula(latex: str, is_display: bool) -> str:
    """MathML of a formula; one with a ``tag`` gets its number and the address ``#equation-<number>``."""
    from latex2mathml.converter import convert

    tag = _TAG.search(latex)
    made = convert(_TAG.sub("", latex).strip(), display="block" if is_display else "inline")
    made = made.replace("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>")  # "is distributed as" is no accent
    if tag is None:
        return made
    return f'<div class="equation" id="equation-{tag[1]}">{made}<span>({tag[1]})</span></div>'


# --- notebooks ----------------------------------------------------------------------------------------------------


def notebook_page(path: Path, pictures: dict[str, bytes]) -> str:
    """Markdown of a notebook with its stored outputs; its pictures are added to `pictures` by name."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            # links of a notebook start from its place in the repository, those of its page from the site's
            parts.append(source.replace(".ipynb)", ".md)").replace("](../docs/", "](../"))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            parts.append(_output(output, f"{path.stem}-{len(pictures) + 1}.png", pictures))
    return "\n\n".join(parts) + "\n"


def _output(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    """One output of a cell as Markdown: a picture, a table, or text."""
    if output["output_type"] == "error":
        raise ValueError(f"a cell failed: {output['evalue']}: run the notebook again")
    data = output.get("data", {})
    if "image/png" in data:
        pictures[name] = base64.b64decode("".join(data["image/png"]))
        return f"![Plot of the cell above]({name})"
    if "text/html" in data:
        return f'<div class="output">\n{_STYLE.sub("", "".join(data["text/html"])).strip()}\n</div>'
    text = _ESCAPES.sub("", "".join(output.get("text", data.get("text/plain", ""))))
    return f"```text\n{text.rstrip()}\n```"


# --- the command line ---------------------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    """Commands of the command line, by name."""
    import click

    from bayes_obscaling.cli import app

    context = click.Context(app)
    return {name: app.get_command(context, name) for name in app.list_commands(context)}


def command_page() -> str:
    """Markdown of the page about the command line, read off the commands."""
    parts = [
        "# Command line",
        "`bayes-obscaling COMMAND -h` prints the same. Bad input is one sentence and exit code 2. Scores are fractions "
        "from 0 to 1, chance included; compute is in FLOPs. The columns of what commands write are in "
        "[Columns](columns.md).",
    ]
    for name, command in commands().items():
        parts += [f"## {name}", (command.help or "").strip(), f"```bash\n{command.example}\n```"]
        shown = [option for option in command.params if not getattr(option, "hidden", False)]
        parts.append("| option | meaning | default |\n|---|---|---|\n" + "\n".join(map(_row, shown)))
    return "\n\n".join(parts) + "\n"


def _row(option: Any) -> str:
    """Row of the table of options."""
    is_argument = option.param_type_name == "argument"
    opts = [flag for flag in (*option.opts, *option.secondary_opts) if flag not in getattr(option, "old", ())]
    flags = option.name.upper() if is_argument else ", ".join(opts)
    is_shown = isinstance(option.default, (int, float, str)) and option.default is not False
    default = "required" if option.required else f"`{option.default}`" if is_shown else ""
    return f"| `{flags}` | {(getattr(option, 'help', '') or '').replace('|', chr(92) + '|')} | {default} |"
