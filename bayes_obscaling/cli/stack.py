"""The command stack."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from bayes_obscaling.checks import counted
from bayes_obscaling.cli.forecasts import named, print_forecast
from bayes_obscaling.cli.groups import names, parsed
from bayes_obscaling.cli.options import Cutoff, FitOptions, FromCompute, Models, Outputs, Sampling, Tasks, flops
from bayes_obscaling.cli.paths import check_file
from bayes_obscaling.cli.scenarios import check_scenarios, scenarios_of
from bayes_obscaling.cli.scores import TableOptions, resolved
from bayes_obscaling.cli.show import err, out, plain, print_table, show, write
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.models.spec import CapabilitySpec
    from bayes_obscaling.results.stacked import Stack, StackedForecast

_CURVES, _DRIFTS = ("asymmetric", "logistic"), ("none", "family", "model", "line")
_MOST_SPECS = 12


# long: every option of the command is a parameter
def stack(
    task: Tasks = None,
    cutoff_flops: Cutoff = None,
    factors: Annotated[list[str] | None, names("--factors", help="Numbers of capabilities:")] = None,
    curve: Annotated[
        list[str] | None, names("--curve", help="How benchmarks level off, asymmetric or logistic:")
    ] = None,
    drift: Annotated[list[str] | None, names("--drift", help="Drifts, none, family, model or line:")] = None,
    by: Annotated[
        Literal["leave-future-out", "leave-one-out"], "How the scores are held out that weigh the specs."
    ] = "leave-future-out",
    earlier: Annotated[
        list[str] | None, names("--earlier", help="Cuts before the forecast's own from which they are predicted:")
    ] = None,
    models: Models = None,
    family: Annotated[list[str] | None, "Family of a model to come, or 'new'."] = None,
    flops: Annotated[list[float] | None, flops("Its training compute in FLOPs; sparse tables do without.")] = None,
    date: Annotated[list[str] | None, "Release date: one for all models to come, or one for each."] = None,
    as_of: Annotated[str | None, "Hide the scores of models that were not released before this date."] = None,
    from_compute: FromCompute = False,
    weights: Annotated[Path | None, "Write the held-out log densities of every spec here (CSV)."] = None,
    *,
    table: TableOptions,
    model: Sampling,
    outputs: Outputs,
) -> None:
    """Forecast with several specs, mixed by how well each predicts scores that it has not seen.

    Prints weights and log scores of the specs, whether a single one is enough, then the forecast as `forecast` does.
    Specs are all combinations of --factors, --curve and --drift; without these the default, one factor less, logistic
    curves, and no drift.

    Example: bayes-obscaling stack --task gsm8k_cot --cutoff-flops 8.4e22 --factors 3,4 --curve asymmetric,logistic
    """
    task = named(task)
    outputs.check_one_task(task)
    if weights is not None:
        check_file(weights)
    scenarios = scenarios_of(family, flops, date, None)
    scores = table.load(task, models)
    specs = specs_of(scores, factors, curve, drift)
    from bayes_obscaling.evaluation.stacking import default_specs
    from bayes_obscaling.evaluation.stacking import stack as make
    from bayes_obscaling.results.scenario import Scenario

    specs = specs or default_specs(scores)
    check_scenarios(scores, scenarios, specs.values(), "give --flops, such as 3e24")
    if any(one.date for one in scenarios) and all(spec.drift == "none" for spec in specs.values()):
        raise InputError("--date says nothing to fits without a drift", "leave it out, or stack one with a drift")
    wanted = resolved(scores, models)
    cuts: list[Any] | None = earlier
    if earlier is not None and as_of is None:
        cuts = [parsed("--earlier", text, float, "give FLOPs, such as 1e22, or dates with --as-of") for text in earlier]
    with model.sampling(table=scores) as how:
        answer = make(
            scores, task, specs, by=by, earlier=cuts, cutoff=cutoff_flops, as_of=as_of, from_compute=from_compute, **how
        )
    forecast = answer.forecast([*(Scenario(model=name) for name in wanted), *scenarios] or None)

    def keep() -> list[str]:
        if weights is None:
            return []
        write(weights, answer.parts["held_out"].to_csv(index=False).encode())
        return [str(weights)]

    show(forecast, "", outputs, layout=lambda: _print(answer, forecast), sentences=(), keep=keep)
    if outputs.as_json:
        for sentence in answer.sentences:
            err().print(plain(sentence))


def specs_of(
    table: ScoreTable, factors: list[str] | None, curves: list[str] | None, drifts: list[str] | None
) -> dict[str, CapabilitySpec] | None:
    """All combinations of what was given, by name; None where nothing was."""
    if not (factors or curves or drifts):
        return None
    for flag, given, known in (("--curve", curves, _CURVES), ("--drift", drifts, _DRIFTS)):
        if strange := [name for name in given or () if name not in known]:
            raise InputError(f"{flag} is '{strange[0]}'", f"take {', '.join(known)}")
    counts = [parsed("--factors", text, int, "give whole numbers, such as 3,4") for text in factors or ()]
    specs = {}
    none: list[Any] = [None]
    for count, curve, drift in product(counts or none, curves or none, drifts or none):
        words = [counted(count, "factor")] if count is not None else []
        words += [str(curve)] * (curve is not None) + [f"drift {drift}"] * (drift is not None)
        options = FitOptions(factors=count, curve=curve, drift=drift)
        options.check()
        specs[", ".join(words)] = options.spec(table)
    if not 2 <= len(specs) <= _MOST_SPECS:
        raise InputError(
            f"--factors, --curve and --drift make {counted(len(specs), 'spec')}",
            f"name 2 to {_MOST_SPECS}",
        )
    return specs


def _print(answer: Stack, forecast: StackedForecast) -> None:
    """Print the weights and what they say, then the forecast."""
    table = answer.summary()
    table["weight"] = ["" if value != value else f"{value:.3f}" for value in table["weight"]]
    for name in ("difference", "se"):
        table[name] = ["" if value != value else f"{value:.3f}" for value in table[name]]
    print_table(table, "Specs (log score: lower is better; difference: the stack's less the spec's)")
    for sentence in answer.sentences:
        out().print(plain(sentence))
    print_forecast(forecast)
