"""The command line: each command is a few lines over the public API."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

import click

from bayes_obscaling.cli.groups import Command
from bayes_obscaling.cli.interrupts import heard_interrupts
from bayes_obscaling.cli.show import err, plain, warn
from bayes_obscaling.errors import InputError, Notice

_INTERRUPTED = 130
# Commands as the help groups them, and the module that each is in.
_PANELS: dict[str, dict[str, str]] = {
    "Forecast": {
        "forecast": "forecasts",
        "reach": "forecasts",
        "when": "forecasts",
        "score": "score",
        "ladder": "ladder",
        "report": "report",
        "fit": "fit",
        "stack": "stack",
        "predict-ahead": "ahead",
    },
    "Judge": {"diagnose": "judge", "backtest": "judge", "cutoffs": "studies", "score-ahead": "ahead"},
    "Ask": dict.fromkeys(
        ("factors", "efficiency", "latent-compute", "anomalies", "gain", "agents", "single-family"), "questions"
    )
    | {"inference-compute": "inference"},
    "Plan": {"select": "select"},
    "Data": dict.fromkeys(("check", "tasks", "models"), "tables"),
}
_HOMES = {name: module for panel in _PANELS.values() for name, module in panel.items()}


class _Commands(click.Group):
    """Commands that are made when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names, in the order of the help."""
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name."""
        if cmd_name not in _HOMES:
            return None
        module = import_module(f"bayes_obscaling.cli.{_HOMES[cmd_name]}")
        return Command(getattr(module, cmd_name.replace("-", "_")))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write what each command is for, group by group."""
        widest = max(map(len, _HOMES))
        for panel, homes in _PANELS.items():
            functions = {
                name: getattr(import_module(f"bayes_obscaling.cli.{module}"), name.replace("-", "_"))
                for name, module in homes.items()
            }
            with formatter.section(panel):
                formatter.write_dl(
                    [(name.ljust(widest), str(one.__doc__).partition("\n")[0]) for name, one in functions.items()]
                )


@click.group(cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bayes_obscaling", prog_name="bayes-obscaling", message="%(prog)s %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """Credible-interval forecasts of language-model scores from public benchmarks."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line; bad input is one sentence and exit code 2."""
    if sys.stdout is None:
        _fail("Standard output is closed: send it to a file, or to /dev/null.")
    # XLA reports slow compilation as an error of its own making; what matters of its errors is raised as well.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings(), heard_interrupts():
        warnings.filterwarnings("once", category=Notice)
        warnings.showwarning = partial(_show_warning, warnings.showwarning)
        _run()


def _show_warning(otherwise: Callable[..., None], message: Warning | str, category: type[Warning], *rest: Any) -> None:
    """Show what the package says of itself as the command line says everything."""
    if issubclass(category, Notice):
        warn(str(message))
    else:
        otherwise(message, category, *rest)


def _run() -> None:
    try:
        code = app(prog_name="bayes-obscaling", standalone_mode=False)
        sys.stdout.flush()
        if code:
            sys.exit(code)
    except InputError as error:
        _fail(str(error))
    except click.ClickException as error:  # an unknown option, a missing argument
        context = getattr(error, "ctx", None)
        _fail(f"{error.format_message()} See {context.command_path if context else 'bayes-obscaling'} --help.")
    except (click.Abort, KeyboardInterrupt):
        _interrupted()
    except BrokenPipeError:  # the reader of a pipe has gone
        _discard_output()
        sys.exit(1)
    except OSError as error:
        if error.filename is not None:  # not standard output
            raise
        _discard_output()
        _fail(f"Standard output cannot be written ({error.strerror or error}): send it elsewhere.")


def _fail(message: str) -> NoReturn:
    err().print(f"[bold red]Error:[/] {plain(message)}")
    sys.exit(2)


def _discard_output() -> None:
    """Send what is still to be printed nowhere, so that nothing fails again when the program ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> NoReturn:
    err().print("Interrupted. Capabilities that were sampled, and finished fits of a study, are not sampled again.")
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    # Chains stop when they next look up, which takes minutes on a table of thousands of models; and an interpreter that
    # is taken down while compiled code still runs may crash.
    os._exit(_INTERRUPTED)
