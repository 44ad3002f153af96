"""Settings: what they are, where they come from, and what is wrong with a bad one.

Without pydantic, whose import takes longer than all of this: brains pay for it, settings don't.
"""

from osupervisor.config.address import parse_address
from osupervisor.config.duration import format_duration, format_size, parse_duration, parse_size
from osupervisor.config.errors import BadValueError, SettingsError
from osupervisor.config.resolved import dump, restore
from osupervisor.config.settings import Settings
from osupervisor.config.target import Target, parse_target

__all__ = [
    "BadValueError",
    "Settings",
    "SettingsError",
    "Target",
    "dump",
    "format_duration",
    "format_size",
    "parse_address",
    "parse_duration",
    "parse_size",
    "parse_target",
    "restore",
]
