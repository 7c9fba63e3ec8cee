"""Options of commands: annotated parameters, and groups of them that reach a command as one object each.

A command is a function. Its parameters are annotated with a help text, or with `Option`; a parameter whose type is a
subclass of `Options` stands for all options of that group.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import click

from bayes_obscaling.errors import InputError

_EXAMPLE = "Example: "
# Parameters whose files are written; those of all others are read.
_DESTINATIONS = ("output", "plot", "save_fit", "details", "report", "weights")


@dataclass(frozen=True)
class Option:
    """How an option is spelled and explained.

    Attributes
    ----------
    help : str
        What it does.
    flags : tuple of str
        Its spellings; default the name of the parameter.
    old : tuple of str
        Former spellings, understood but not shown.
    are_names : bool
        Whether it takes names: ``A,B``, or the option repeated.
    is_argument : bool
        Whether it is told by its place instead of a flag.
    read : callable, optional
        Makes the value out of what was typed, and refuses what it cannot be; told the flag and the text.
    check : callable, optional
        Refuses a value; told the flag and the value.
    """

    help: str
    flags: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    are_names: bool = False
    is_argument: bool = False
    read: Callable[[str, str], Any] | None = None
    check: Callable[[str, Any], None] | None = None


def names(*flags: str, help: str, old: tuple[str, ...] = ()) -> Option:
    """An option that takes several names."""
    return Option(f"{help} A,B, or repeat.", flags, old, are_names=True)


def split(texts: tuple[str, ...]) -> list[str]:
    """Names of an option that may be repeated, or given as ``A,B``."""
    parts = [name.strip() for text in texts for name in text.split(",")]
    return [name for name in parts if name]


def parsed(option: str, text: str, parse: Callable[[str], Any], remedy: str) -> Any:
    """What `parse` makes of an option; a ValueError of it is bad input."""
    try:
        return parse(text)
    except ValueError:
        raise InputError(f"{option} is '{text}'", remedy) from None


class Options:
    """A group of options: a frozen dataclass of options (a help text or `Option` each) or of other groups."""

    panel: ClassVar[str] = "Options"

    def check(self) -> None:
        """Refuse what cannot work; called before the command is."""

    def given(self) -> list[str]:
        """Flags of the options that were given another value than their default."""
        kinds = get_type_hints(type(self), include_extras=True)
        return [
            _flags(one.name, _option(kinds[one.name]))[0]
            for one in fields(self)  # type: ignore[arg-type]
            if getattr(self, one.name) not in (one.default, [])
        ]


class Command(click.Command):
    """A command whose help lists the options by group, and ends with an example."""

    def __init__(self, function: Callable[..., None]) -> None:
        kinds = get_type_hints(function, include_extras=True)
        self._groups = {name: kind for name, kind in kinds.items() if _is_group(kind)}
        self._function, self._panels = function, dict[str, list[click.Parameter]]()
        for name, parameter in inspect.signature(function).parameters.items():
            for panel, one in _parameters(name, kinds[name], parameter.default, Options.panel):
                self._panels.setdefault(panel, []).append(one)
        text, _, self.example = inspect.cleandoc(function.__doc__ or "").rpartition(_EXAMPLE)
        super().__init__(
            function.__name__.replace("_", "-"),
            callback=self._call,
            params=[one for panel in self._panels.values() for one in panel],
            help=text,
        )

    def _call(self, **values: Any) -> None:
        self._refuse_to_overwrite(values)
        groups = {name: _made(kind, values) for name, kind in self._groups.items()}
        self._function(**groups, **values)

    def _refuse_to_overwrite(self, values: dict[str, Any]) -> None:
        """Refuse to write a file that is read too, or two things to one file."""
        flags: dict[Path, str] = {}
        of_paths = [one for one in self.params if isinstance(one.type, click.Path)]
        for one in sorted(of_paths, key=lambda one: one.name in _DESTINATIONS):  # what is read comes first
            value = values.get(str(one.name))
            for path in value if isinstance(value, (list, tuple)) else [value] if value else []:
                place, flag = Path(path).resolve(), max(one.opts, key=len)
                is_file = bool(place.suffix) and not place.is_dir()  # several things may go into one folder
                if one.name in _DESTINATIONS and place in flags and is_file:
                    raise InputError(f"{flag} and {flags[place]} are both {path}", "write to another file")
                flags[place] = flag

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        for panel, parameters in self._panels.items():
            ours = [*parameters, *(self.get_help_option(ctx),) * (panel == Options.panel)]
            if records := [record for one in ours if one and (record := one.get_help_record(ctx))]:
                with formatter.section(panel):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the example."""
        with formatter.section(_EXAMPLE.rstrip(": ")):
            formatter.write(f"{'':{formatter.current_indent}}{self.example}\n")


def _is_group(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Options)


def _option(annotation: Any) -> Option:
    option = get_args(annotation)[1]
    return option if isinstance(option, Option) else Option(option)


def _flags(name: str, option: Option) -> list[str]:
    """Flags of an option, the longest first."""
    return sorted(option.flags or (f"--{name.replace('_', '-')}",), key=len, reverse=True)


def _parameters(name: str, annotation: Any, default: Any, panel: str) -> list[tuple[str, click.Parameter]]:
    """Panel and parameter of an option, or of each option of a group."""
    if not _is_group(annotation):
        return [(panel, _of_option(name, annotation, default))]
    kinds = get_type_hints(annotation, include_extras=True)
    return [
        found
        for one in fields(annotation)
        for found in _parameters(one.name, kinds[one.name], one.default, annotation.panel)
    ]


def _of_option(name: str, annotation: Any, default: Any) -> click.Parameter:
    option, kind = _option(annotation), get_args(annotation)[0]
    if get_origin(kind) in (UnionType, Union):
        kind = get_args(kind)[0]
    is_list = get_origin(kind) is list
    of = get_args(kind)[0] if is_list else kind
    is_required = default is inspect.Parameter.empty
    if option.is_argument:
        return click.Argument([name], type=_type(of), nargs=-1 if is_list else 1, required=is_required)
    flags = _flags(name, option)
    if of is bool:
        both = [f"{flag}/{flag.replace('--', '--no-', 1)}" for flag in flags]
        return click.Option([name, *(both if default else flags)], help=option.help, is_flag=True, default=default)

    def value(_: click.Context, __: click.Parameter, given: Any) -> Any:
        made = [
            one if one is None or option.read is None else option.read(flags[0], one)
            for one in (given if is_list else (given,))
        ]
        for one in made if option.check else ():
            if one is not None:
                option.check(flags[0], one)  # type: ignore[misc]
        if not is_list:
            return made[0]
        return (split(given) if option.are_names else made) or None

    more: dict[str, Any] = {"required": True} if is_required else {"default": default}
    return _Spelled(
        [name, *flags, *option.old],
        old=option.old,
        help=option.help,
        type=_type(of if option.read is None else str),
        metavar=None if option.read is None else "NUMBER",
        multiple=is_list,
        show_default=not is_required and default not in (None, ""),
        callback=value,
        **more,
    )


class _Spelled(click.Option):
    """An option whose former spellings are not shown."""

    def __init__(self, declared: list[str], *, old: tuple[str, ...], **more: Any) -> None:
        super().__init__(declared, **more)
        self.old = old

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Flags and help."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        flags, text = record
        for flag in self.old:
            flags = flags.replace(f", {flag}", "")
        return flags, text


def _type(kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    return click.Path(path_type=Path) if kind is Path else kind


def _made(group: Any, values: dict[str, Any]) -> Any:
    """A group made of, and checked by, its options, which are taken out of `values`."""
    kinds = get_type_hints(group, include_extras=True)
    made = group(
        **{
            one.name: _made(kinds[one.name], values) if _is_group(kinds[one.name]) else values.pop(one.name)
            for one in fields(group)
        }
    )
    made.check()
    return made
