"""Settings of a script, as attributes and as a dictionary."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView

from anabranch._asked import shown
from anabranch._errors import ArgumentError, MissingAttributeError, nearest
from anabranch._frames import bound_methods


@bound_methods
class Config:
    """Settings that are read and set as attributes or as items, and can be frozen.

    Args:
        **kwargs: the settings.

    Example:
        >>> settings = Config(batch_size=32)
        >>> settings.rate = 0.1
        >>> settings.freeze()
        >>> settings
        Config(batch_size=32, rate=0.1)
        >>> settings["rate"] + settings.batch_size
        32.1
    """

    _settings: dict[str, object]
    _frozen: bool

    def __init__(self, **kwargs: object) -> None:
        vars(self).update(_settings=dict(kwargs), _frozen=False)

    @property
    def frozen(self) -> bool:
        """Whether changes are refused."""
        return self._frozen

    def freeze(self) -> None:
        """Refuse changes from now on.

        Example:
            >>> Config(a=1).freeze()
        """
        vars(self)["_frozen"] = True

    def unfreeze(self) -> None:
        """Accept changes again.

        Example:
            >>> Config(a=1).unfreeze()
        """
        vars(self)["_frozen"] = False

    def as_dict(self) -> dict[str, object]:
        """Return a copy as a dictionary.

        Example:
            >>> Config(a=1).as_dict()
            {'a': 1}
        """
        return dict(self._settings)

    def to_json(self) -> str:
        """Return the settings as JSON.

        Example:
            >>> Config(a=1).to_json()
            '{"a": 1}'
        """
        import json

        return json.dumps(self._settings)

    def keys(self) -> KeysView[str]:
        """Return the names.

        Example:
            >>> list(Config(a=1).keys())
            ['a']
        """
        return self._settings.keys()

    def values(self) -> ValuesView[object]:
        """Return the values.

        Example:
            >>> list(Config(a=1).values())
            [1]
        """
        return self._settings.values()

    def items(self) -> ItemsView[str, object]:
        """Return names and values.

        Example:
            >>> list(Config(a=1).items())
            [('a', 1)]
        """
        return self._settings.items()

    def get(self, keyname: str, value: object = None) -> object:
        """Return a setting, or another value where there is none of that name.

        Args:
            keyname: the name.
            value: what is returned in its place.

        Example:
            >>> Config(a=1).get("b", 2)
            2
        """
        return self._settings.get(keyname, value)

    def pop(self, *args: object) -> object:
        """Remove a setting and return it.

        Args:
            *args: the name, and what is returned where there is none of that name.

        Example:
            >>> Config(a=1).pop("a")
            1
        """
        self._refuse_if_frozen()
        if not 1 <= len(args) <= 2 or not (args[1:] or args[0] in self._settings):
            raise ArgumentError("There is no such setting.", expected=", ".join(self._settings), got=shown(args))
        return self._settings.pop(str(args[0]), *args[1:])

    def update(self, *args: dict[str, object], **kwargs: object) -> None:
        """Set several settings.

        Args:
            *args: a dictionary of them.
            **kwargs: more of them.

        Example:
            >>> settings = Config(a=1)
            >>> settings.update({"b": 2}, c=3)
            >>> len(settings)
            3
        """
        self._refuse_if_frozen()
        self._settings.update(*args, **kwargs)

    def _refuse_if_frozen(self) -> None:
        if self._frozen:
            raise ArgumentError("These settings are frozen.", repair="unfreeze() first")

    def _found(self, name: str) -> object:
        if name in self._settings:
            return self._settings[name]
        close = nearest(name, self._settings)
        raise MissingAttributeError(f"There is no setting {name!r}.", repair=f"did you mean {close!r}?" if close else None)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") or "_settings" not in vars(self):  # while it is unpickled
            raise AttributeError(name)
        return self._found(name)

    def __setattr__(self, name: str, value: object) -> None:
        self._refuse_if_frozen()
        self._settings[name] = value

    def __delattr__(self, name: str) -> None:
        self.pop(name)

    def __getitem__(self, key: str) -> object:
        return self._found(key)

    def __setitem__(self, key: str, value: object) -> None:
        setattr(self, key, value)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __contains__(self, name: object) -> bool:
        return name in self._settings

    def __len__(self) -> int:
        return len(self._settings)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._settings))

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={value!r}' for name, value in self._settings.items())})"
