"""The one exception for input that cannot be used."""


class InputError(Exception):
    """Input that cannot be used: one sentence with the cause, the place and the remedy.

    Everything a user hands over (a table, a name, a number) that cannot be used raises this and nothing else, so
    that a command line program can print the sentence and stop. Not a ValueError: pydantic would wrap that in a
    ValidationError of its own.
    """
