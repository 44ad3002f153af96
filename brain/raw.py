"""The methods of dict and list themselves, for what goes round the overrides of the tracked classes.

Whoever uses them has written the journal, or is undoing, following or loading.
"""

from typing import Any, Final

dict_new: Final[Any] = dict.__new__
dict_set: Final[Any] = dict.__setitem__
dict_delete: Final[Any] = dict.__delitem__
dict_update: Final[Any] = dict.update
dict_clear: Final[Any] = dict.clear
list_new: Final[Any] = list.__new__
list_set: Final[Any] = list.__setitem__
list_append: Final[Any] = list.append
list_extend: Final[Any] = list.extend
list_insert: Final[Any] = list.insert
list_pop: Final[Any] = list.pop
