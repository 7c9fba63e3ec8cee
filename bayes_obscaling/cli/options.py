"""Options that several commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Scores = Annotated[list[Path] | None, typer.Option(help="Your own table of scores (CSV); repeatable.")]
Benchmarks = Annotated[Path | None, typer.Option(help="Chance, items and range of your own benchmarks (CSV).")]
AllModels = Annotated[bool, typer.Option(help="All 128 bundled models, not the study's 77 (slower).")]
Factors = Annotated[int | None, typer.Option(min=1, max=8, help="Number of latent capabilities.")]
Curvature = Annotated[bool, typer.Option(help="Let capability bend in log compute (Box-Cox law).")]
Joint = Annotated[bool, typer.Option(help="Joint posterior: task scores may bend the capabilities.")]
Chains = Annotated[int, typer.Option(help="Chains.")]
Draws = Annotated[int, typer.Option(help="Draws kept of each chain.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
SavedFit = Annotated[Path | None, typer.Option("--fit", help="Use this saved fit instead of fitting.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the table here (CSV).")]
Plot = Annotated[Path | None, typer.Option(help="Draw it here (PNG, PDF, SVG).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
