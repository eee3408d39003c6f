"""`hookmill n8n`: workflows as files, checked, and brought into an n8n and back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import opening, render
from gateway.cli.faults import Fault, unknown
from gateway.cli.options import Json, example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.n8n.deploy import CommandLine
    from gateway.n8n.place import Place

app = typer.Typer(no_args_is_help=True, help="The workflows of n8n: check them, bring them into an n8n and back.")

Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The folder with the workflows.")]
PlaceFile = Annotated[
    Path | None, typer.Option("--place", metavar="FILE", help="Where n8n is, and its secrets; n8n.toml in the folder.")
]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these, such as notify-result.")]
Wait = Annotated[int, typer.Option("--wait", min=1, help="Seconds to wait for each webhook to be live.")]
Write = Annotated[bool, typer.Option("--write", help="Bring the files into the form that pull writes, first.")]
FOLDER = Path("n8n-workflows")


def _files(folder: Path, names: Sequence[str] | None) -> list[Path]:
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if not files:
        raise Fault(f"{folder}: no workflows there; say where with --dir")
    for name in names or ():
        if name.removesuffix(".json") not in files:
            raise unknown("workflow", name, files)
    return [files[name.removesuffix(".json")] for name in names] if names else list(files.values())


@app.command(epilog=example("hookmill n8n check", "hookmill n8n check --write"))
def check(*, folder: Folder = FOLDER, place: PlaceFile = None, write: Write = False, as_json: Json = False) -> None:
    """Look for what n8n would not say: broken links, conditions that let everything pass, secrets, unknown nodes."""
    from gateway.n8n.lint import check_all  # noqa: PLC0415 - keeps `hookmill --help` quick
    from gateway.n8n.place import ids_of  # noqa: PLC0415

    files = _files(folder, None)
    if write:
        _rewrite(files)
    found = check_all(files, ids_of(place or folder / "n8n.toml"))
    if as_json:
        rows = [{"file": one.file, "node": one.node, "text": one.text} for one in found]
        render.show_json({"ok": not found, "workflows": len(files), "found": rows})
    if found:
        if not as_json:
            typer.echo("\n".join(map(str, found)), err=True)
        raise typer.Exit(2)
    if not as_json:
        print(f"{len(files)} workflows: all is well.")


def _rewrite(files: Sequence[Path]) -> None:
    from gateway.n8n.form import dump, normalised  # noqa: PLC0415 - keeps `hookmill --help` quick
    from gateway.n8n.lint import read_workflow  # noqa: PLC0415

    for path in files:
        try:
            workflow = read_workflow(path)
        except ValueError:
            continue  # the check says it
        text = dump(normalised(workflow, order=[node["name"] for node in workflow["nodes"]]))
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")


@app.command(epilog=example("hookmill n8n push", "hookmill n8n push notify-result error-catcher --place ~/n8n.toml"))
def push(names: Names = None, *, folder: Folder = FOLDER, place: PlaceFile = None, wait: Wait = 120) -> None:
    """Import workflows and credentials into n8n, publish them, and wait until they are live.

    n8n.toml says how n8n's command line is called, what stands in the nodes Config, and where each secret is. Without
    an `api_key` in it, the command line publishes, too: some seconds for each workflow.
    """
    from gateway.n8n import deploy  # noqa: PLC0415 - keeps `hookmill --help` quick
    from gateway.n8n.lint import check_all, read_workflow  # noqa: PLC0415

    there, line = _opened(place or folder / "n8n.toml")
    every = _files(folder, None)
    if found := check_all(every, set(there.credentials)):
        raise Fault(f"{found[0]}" + (f" (and {len(found) - 1} more: hookmill n8n check)" if len(found) > 1 else ""))
    workflows = [read_workflow(path) for path in _files(folder, names)]
    try:
        deploy.push(workflows, there, line, tell=_tell)
        deploy.wait_until_live(workflows, there, within=timedelta(seconds=wait), tell=_tell)
    except deploy.DeployError as error:
        raise Fault(str(error)) from None
    count = render.plural(len(workflows), "workflow")
    print(f"{count} published; a changed one serves its old version for some seconds.")


@app.command(epilog=example("hookmill n8n pull", "hookmill n8n pull notify-result && git diff"))
def pull(names: Names = None, *, folder: Folder = FOLDER, place: PlaceFile = None) -> None:
    """Write n8n's workflows into their files; what is the place's own, and what n8n adds, is left out.

    A workflow belongs to the file that has its id; one that no file has is written where its name is "Hookmill / NAME".
    """
    from gateway.n8n import deploy  # noqa: PLC0415 - keeps `hookmill --help` quick
    from gateway.n8n.lint import read_workflow  # noqa: PLC0415

    _, line = _opened(place or folder / "n8n.toml")
    files = {path: read_workflow(path) for path in _files(folder, names)}
    try:
        found = deploy.fetch(line)
    except deploy.DeployError as error:
        raise Fault(str(error)) from None
    for path, file in files.items():
        if file["id"] not in found:
            raise Fault(f"{path.stem}: n8n has no workflow with the id {file['id']!r}; push it first")
        _save(path, found.pop(file["id"]), file)
    for workflow in found.values() if not names else ():
        stem = _stem(workflow["name"])
        if stem and not (folder / f"{stem}.json").exists():
            _save(folder / f"{stem}.json", workflow, workflow)


def _stem(name: str) -> str:
    """Give the file's name for a workflow of ours; what could lead elsewhere is none."""
    stem = name.removeprefix("Hookmill / ")
    return stem if stem != name and stem.replace("-", "").isalnum() and stem.isascii() else ""


def _save(path: Path, workflow: dict[str, Any], file: dict[str, Any]) -> None:
    from gateway.n8n.form import dump, normalised, with_settings_of  # noqa: PLC0415 - keeps `hookmill --help` quick

    order = [node["name"] for node in file["nodes"]]
    text = dump(normalised(with_settings_of(workflow, file), order=order))
    changed = not path.exists() or path.read_text(encoding="utf-8") != text
    if changed:
        path.write_text(text, encoding="utf-8")
    print(f"{'wrote' if changed else 'unchanged:'} {path}")


def _opened(path: Path) -> tuple[Place, CommandLine]:
    from gateway.n8n.deploy import CommandLine  # noqa: PLC0415 - keeps `hookmill --help` quick
    from gateway.n8n.place import read_place  # noqa: PLC0415

    if not path.is_file():
        raise Fault(f"{path}: not found; it says where n8n is and what the workflows need there (--place)")
    env = opening.environment()
    place = read_place(path, env)
    return place, CommandLine(command=place.command, env=env)


def _tell(text: str) -> None:
    print(text, flush=True)
