"""The error tree. A `KgkitError` is one the user can mend: one line, no traceback, a documented exit code.

Every message says where, what is wrong and what to do next. Exit codes are the contract of
the command line: 1 failed, 2 wrong usage, 3 bad input data, 4 service not reachable.
"""

from typing import ClassVar


class KgkitError(Exception):
    """Something failed and the user can mend it (exit code 1)."""

    exit_code: ClassVar[int] = 1


class UsageError(KgkitError):
    """The command cannot be carried out as asked (exit code 2)."""

    exit_code: ClassVar[int] = 2


class ContentError(KgkitError):
    """A file of the content folders (schema, prompt, split, recipe) is wrong (exit code 3)."""

    exit_code: ClassVar[int] = 3


class TableError(KgkitError):
    """A table cannot be read at all: nothing of it was loaded (exit code 3)."""

    exit_code: ClassVar[int] = 3


class ServiceError(KgkitError):
    """A service (graph database, teacher) does not answer or refuses (exit code 4)."""

    exit_code: ClassVar[int] = 4
