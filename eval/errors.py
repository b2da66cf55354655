"""Errors that a person can put right, with the exit code each one ends a command with."""

from typing import ClassVar

OK = 0
REGRESSION = 1
USAGE = 2
INCONCLUSIVE = 3
OPERATIONAL = 4


class UserError(Exception):
    """Something the user can put right: what happened, with the values, then what to do.

    `main()` prints the message as one line without a traceback and exits with `exit_code`.
    """

    exit_code: ClassVar[int] = USAGE


class OperationalError(UserError):
    """Nothing could be measured: a pipeline is down, a store is locked, a run came out empty."""

    exit_code: ClassVar[int] = OPERATIONAL
