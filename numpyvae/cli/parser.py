"""argparse as people need it: help with an example, errors in two lines with the closest name, and what was typed."""
from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from ..arguments import did_you_mean
from ..files.regular import one_line

NOT_TYPED = object()
WIDTH = 80


class Help(argparse.HelpFormatter):
    """At most 80 columns; a default only where there is one; indented lines, such as examples, as they are."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26, width=min(WIDTH, shutil.get_terminal_size().columns) - 2)

    def _get_help_string(self, action: argparse.Action) -> str:
        """The help, and in brackets the choices and the default."""
        text, default = action.help or "", action.default
        notes = [f"one of {', '.join(map(str, action.choices))}"] if action.choices and action.option_strings else []
        if default not in (None, argparse.SUPPRESS) and action.nargs != 0 and "(default" not in text:
            notes.append(f"default: {' '.join(map(str, default)) if isinstance(default, list) else default}")
        added = "; ".join(notes).replace("%", "%%")
        if "(default" in text and notes:
            return text.replace("(default", f"({added}; default")
        return f"{text} ({added})" if notes else text

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        """The choices stand in the help, where a line may end between them."""
        name = action.metavar or ("NAME" if action.choices and action.option_strings else default_metavar)
        return lambda size: name if isinstance(name, tuple) else (name,) * size

    def _format_usage(self, usage: Any, actions: Iterable[argparse.Action], groups: Any, prefix: Any) -> str:
        """One line: the options are listed below it."""
        places = [self._format_args(action, action.dest) for action in actions if not action.option_strings]
        return f"usage: {' '.join([self._prog, '[OPTION ...]', *places])}\n\n"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(line if line.startswith(" ") else textwrap.fill(line, width) for line in text.splitlines())


class Parser(argparse.ArgumentParser):
    """`typed`, in the namespace that it returns, is the set of options that were typed, whatever their values.

    example  : a line of shell, or several, that ends the help
    commands : the names of the commands that a parser of all has
    needs    : options without which a command cannot run; argparse would ask for them before it names a misspelt one
    """

    commands: Sequence[str] = ()
    needs: Sequence[str] = ()

    def __init__(self, *args: Any, example: str = "", epilog: str = "", **options: Any):
        super().__init__(*args, **options)
        self.formatter_class, self._positionals.title = Help, "arguments"
        heading = "example" if len(example.splitlines()) == 1 else "examples"
        self.epilog = "\n\n".join([epilog] * bool(epilog) + [f"{heading}:\n{textwrap.indent(example, '  ')}"] * bool(
            example))

    def parse_known_args(self, args: Sequence[str] | None = None,    # type: ignore[override]
                         namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        if args is not None:    # those of a command
            self._refuse_one_dash(args)
        options, rest = super().parse_known_args(args, namespace)
        if hasattr(options, "typed"):    # this is the parser of all commands, whose one command has been parsed
            return options, rest
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self._meant(rest[0])}")
        names = {action.dest for action in self._actions}
        bare, _ = super().parse_known_args(args, argparse.Namespace(**dict.fromkeys(names, NOT_TYPED)))
        options.typed = {name for name in names if getattr(bare, name, NOT_TYPED) is not NOT_TYPED}
        missing = [f"--{name}" for name in self.needs if name not in options.typed]
        if missing:
            self.error(f"the following arguments are required: {', '.join(missing)}")
        return options, rest

    def error(self, message: str) -> NoReturn:
        """What is wrong, and where there is help."""
        self.exit(2, f"{self.prog}: {one_line(message.removeprefix('argument '))}\n{self.prog} --help says more\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """argparse would pass over it if there is no space for what it prints."""
        (file or sys.stderr).write(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse has it, and with the closest of the choices."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise

    def _meant(self, word: str) -> str:
        """The closest option; for a word that is none, the option that it may belong to."""
        known = [name for action in self._actions for name in action.option_strings]
        if word.startswith("-") or "--data" not in known:
            bare = [name[2:] for name in known if name.startswith("--")]    # all are alike in their dashes
            return did_you_mean(word.split("=")[0].lstrip("-"), bare).replace("mean '", "mean '--")
        return f": did you mean '--data {word}'?"

    def _refuse_one_dash(self, args: Sequence[str]) -> None:
        """argparse would take -hidden for -h."""
        for word in args:
            if word == "--":
                return
            if word[:1] == "-" != word[1:2] and f"-{word.split('=')[0]}" in self._option_string_actions:
                self.error(f"unrecognized arguments: {word}: did you mean '-{word.split('=')[0]}'?")
