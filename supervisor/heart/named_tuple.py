"""NamedTuple without `typing`, whose import costs heart 1 MB.

Type checkers see typing.NamedTuple, and at run time a class is made the same way, by
`collections.namedtuple` from its annotations and defaults. Methods and docstrings stay; what
isn't supported is subclassing the result, and fields without annotations.
"""

TYPE_CHECKING = False  # type checkers take this name for true

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from collections import namedtuple

    class _Maker(type):
        def __new__(cls, name, bases, members):
            plain = super().__new__(cls, name, (), members)
            if not bases:
                return plain
            fields = list(plain.__annotations__)
            defaults = [members[field] for field in fields if field in members]
            made = namedtuple(name, fields, defaults=defaults, module=members["__module__"])
            made.__doc__ = plain.__doc__
            for key, value in members.items():
                if key not in fields and not (key.startswith("__") and key.endswith("__")):
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """The base that makes the class statement a named tuple."""
