"""argparse, with two things more: which options were typed, and the closest name for one that is not known."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ..arguments import did_you_mean

NOT_TYPED = object()


class Parser(argparse.ArgumentParser):
    """`typed`, in the namespace that it returns, is the set of options that were typed, whatever their values."""

    def parse_known_args(self, args: Sequence[str] | None = None,    # type: ignore[override]
                         namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        options, rest = super().parse_known_args(args, namespace)
        if hasattr(options, "typed"):    # this is the parser of all commands, whose one command has been parsed
            return options, rest
        if rest:
            known = [name for action in self._actions for name in action.option_strings]
            self.error(f"unrecognized arguments: {' '.join(rest)}{did_you_mean(rest[0].split('=')[0], known)}")
        names = {action.dest for action in self._actions}
        bare, _ = super().parse_known_args(args, argparse.Namespace(**dict.fromkeys(names, NOT_TYPED)))
        options.typed = {name for name in names if getattr(bare, name, NOT_TYPED) is not NOT_TYPED}
        return options, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse has it, and with the closest of the choices."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise
