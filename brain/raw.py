"""The methods of dict and list themselves, which go round the overrides of the tracked classes.

Whoever uses them has written the journal, or is undoing, following or loading.
"""

from typing import Any, Final

_dict: Any = dict
_list: Any = list

dict_new: Final[Any] = _dict.__new__
dict_set: Final[Any] = _dict.__setitem__
dict_add: Final[Any] = _dict.setdefault
"""For a key that isn't there: a third faster than `dict_set`, which is no method but a slot."""
dict_get: Final[Any] = _dict.get
dict_delete: Final[Any] = _dict.__delitem__
dict_update: Final[Any] = _dict.update
dict_clear: Final[Any] = _dict.clear
list_new: Final[Any] = _list.__new__
list_set: Final[Any] = _list.__setitem__
list_append: Final[Any] = _list.append
list_extend: Final[Any] = _list.extend
list_insert: Final[Any] = _list.insert
list_pop: Final[Any] = _list.pop
