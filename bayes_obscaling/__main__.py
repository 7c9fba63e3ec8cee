"""``python -m bayes_obscaling``: the command line."""

from bayes_obscaling.cli import main

main()
