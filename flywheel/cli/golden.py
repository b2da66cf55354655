"""`flywheel golden`: look at the golden dataset, and verify it."""

import json
from collections import Counter
from dataclasses import asdict

import click

from eval.errors import UserError
from flywheel.workspace import Workspace

HOW_CASES_COME = "Labelled failures become cases: flywheel run --week 2026-W45 --continue"
FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group()
def golden() -> None:
    """Look at the golden dataset, and verify it."""


@golden.command()
@FORMAT
@click.pass_obj
def stats(workspace: Workspace, form: str) -> None:
    """Say how many cases there are, by role, status and failure type.

    Example: flywheel golden stats
    """
    from eval.cases import read_dataset

    dataset = read_dataset(workspace.golden_dataset)
    counts: dict[str, Counter[str]] = {
        "role": Counter(case.role for case in dataset.cases),
        "status": Counter(case.status for case in dataset.cases),
        "failure_type": Counter(case.failure_type or "not said" for case in dataset.cases),
        "added_in": Counter(case.added_in or "not said" for case in dataset.cases),
    }
    if form == "json":
        click.echo(
            json.dumps({"version": dataset.version, "cases": len(dataset.cases), **counts}, indent=2, sort_keys=True)
        )
        return
    click.echo(f"{dataset.version}: {len(dataset.cases)} cases")
    for name, counted in counts.items():
        told = ", ".join(f"{count} {value.replace('_', ' ')}" for value, count in sorted(counted.items()))
        click.echo(f"  {name.replace('_', ' '):<14}{told or 'none'}")
    if not dataset.cases:
        click.echo(HOW_CASES_COME)


@golden.command("list")
@click.option("--role", type=click.Choice(["train", "dev", "gate"]), help="Only this role.")
@FORMAT
@click.pass_obj
def list_cases(workspace: Workspace, role: str | None, form: str) -> None:
    """List the cases, a line each.

    Example: flywheel golden list --role gate
    """
    from eval.cases import read_dataset
    from flywheel.report.wording import visible

    cases = [case for case in read_dataset(workspace.golden_dataset).cases if role in (None, case.role)]
    if form == "json":
        click.echo(json.dumps([asdict(case) for case in cases], indent=2, ensure_ascii=False))
        return
    if not cases:
        click.echo(f"no cases{f' with the role {role}' if role else ''}. {HOW_CASES_COME}")
    for case in cases:
        question = visible(" ".join(case.user_input.split())[:80])
        click.echo(f"{case.case_id}  {case.role:<5}  {case.status:<12}  {case.added_in or '':<8}  {question}")


@golden.command()
@click.argument("case_id")
@FORMAT
@click.pass_obj
def show(workspace: Workspace, case_id: str, form: str) -> None:
    """Show one case whole: what was asked, what is expected, where it comes from.

    Example: flywheel golden show c-0123456789ab
    """
    from eval.cases import read_dataset
    from flywheel.report.wording import visible

    case = next((c for c in read_dataset(workspace.golden_dataset).cases if c.case_id == case_id), None)
    if case is None:
        raise UserError(f"there is no case {case_id!r}; list them: flywheel golden list")
    if form == "json":
        click.echo(json.dumps(asdict(case), indent=2, ensure_ascii=False))
        return
    for name, value in asdict(case).items():
        if value not in (None, "", (), []):
            click.echo(f"{name.replace('_', ' '):<16}{visible(str(value))}")


@golden.command()
@click.option("--accept", is_flag=True, help="Make the cases as they stand, edits by hand and all, a new version.")
@click.pass_obj
def verify(workspace: Workspace, accept: bool) -> None:
    """Check every case against the hashes of the version.

    Example: flywheel golden verify
    """
    from eval.cases import read_dataset, write_dataset

    if accept:
        write_dataset(workspace.golden_dataset, read_dataset(workspace.golden_dataset, verify=False).cases)
    dataset = read_dataset(workspace.golden_dataset)
    click.echo(f"{dataset.version}: all {len(dataset.cases)} cases are as they were written")
