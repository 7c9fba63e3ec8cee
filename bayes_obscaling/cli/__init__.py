"""The command line: each command is a few lines over the public API."""

from __future__ import annotations

import os
import sys
import threading

import typer

from bayes_obscaling.cli import capability, diagnose, forecasts, interventions, ladder, select, studies, tables
from bayes_obscaling.cli.common import err, plain
from bayes_obscaling.errors import InputError

_INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Credible-interval forecasts of language-model scores from public benchmarks.",
)
for command in (
    forecasts.forecast, diagnose.diagnose, studies.backtest, studies.cutoffs, ladder.ladder, select.select,
    tables.check, tables.tasks, tables.models,
    capability.factors, capability.efficiency, capability.latent_compute, capability.anomalies,
    interventions.gain, interventions.agents, interventions.single_family,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """Run the command line; bad input is one sentence and exit code 2."""
    try:
        code = app(standalone_mode=False)  # of typer.Exit
        if code == _INTERRUPTED:  # what typer makes of Ctrl-C
            _interrupted()
        if code:
            sys.exit(code)
    except InputError as error:
        _fail(str(error))
    except typer.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:  # the reader of a pipe has gone
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        # typer's own errors (an unknown option, a missing argument) carry their exit code and their message.
        if not hasattr(error, "show"):
            raise
        error.show()
        sys.exit(getattr(error, "exit_code", 2))


def _fail(message: str) -> None:
    err.print(f"[bold red]Error:[/] {plain(message)}", highlight=False, soft_wrap=True)
    sys.exit(2)


def _interrupted() -> None:
    err.print("Interrupted. Finished sampling stages are kept; the same command goes on from there.", soft_wrap=True)
    if any(thread.name.startswith("bayes_obscaling chains") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        # chains stop when they next look up, which takes minutes on a table of thousands of models
        os._exit(_INTERRUPTED)
    sys.exit(_INTERRUPTED)
