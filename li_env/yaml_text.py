"""Read YAML within bounds: how deep, how many values after aliases are unfolded, how long a number.

PyYAML follows nested text by recursion (30,000 brackets end the interpreter) and unfolds aliases without a limit, so
the stream of events is looked at first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from li_env.validation import shortened, shown

MOST_DEPTH = 64
"""Lists and mappings inside each other."""

MOST_VALUES = 300_000
"""Values of a text, every use of an alias counted."""

MOST_DIGITS = 200
"""Signs of a number: PyYAML needs a time that grows with their square."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"


def parse_yaml(text: str, where: str) -> Any:
    """Read one YAML document as plain values; ``None`` for an empty one.

    Args:
        text: to read.
        where: its origin, for messages.

    Raises:
        ValueError: not YAML, a tag that is no plain value, a key that comes twice, nested deeper than `MOST_DEPTH`,
            more than `MOST_VALUES` values, an alias inside what it stands for, or a number of more than `MOST_DIGITS`
            signs.
    """
    try:
        _check_size(text, where)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_nodes(node, where)
            return _built(loader, node, where)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        line = f":{mark.line + 1}" if mark else ""
        raise ValueError(f"{where}{line}: not YAML: {shortened(str(problem))}") from None


def _built(loader: Any, node: Any, where: str) -> Any:
    try:
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except Exception as error:  # a text that its own tag, or its looks, promise to be a number or a date
        raise ValueError(f"{where}: not YAML: {shortened(f'{type(error).__name__}: {error}')}") from None


def _check_size(text: str, where: str) -> None:
    """Follow the events with a counter per open list or mapping."""
    sizes: dict[str, int] = {}
    names: list[str | None] = []
    counts = [0]
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                raise _refused(event, where, f"alias *{shortened(event.anchor)} stands inside what it stands for")
            counts[-1] += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            names.append(event.anchor)
            counts.append(1)
            if len(names) > MOST_DEPTH:
                raise _refused(event, where, f"lists or mappings more than {MOST_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            count, name = counts.pop(), names.pop()
            counts[-1] += count
            if name is not None:
                sizes[name] = count
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if counts[-1] > MOST_VALUES:
            raise _refused(event, where, f"more than {MOST_VALUES:,} values, aliases unfolded")


def _refused(event: Any, where: str, what: str) -> ValueError:
    return ValueError(f"{where}:{event.start_mark.line + 1}: not usable YAML: {what}")


def _check_nodes(root: Any, where: str) -> None:
    """Refuse keys that come twice and endless numbers."""
    waiting, known = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            if node.tag in _NUMBERS and len(node.value) > MOST_DIGITS:
                raise _refused(node, where, f"the number {shown(node.value)} has more than {MOST_DIGITS} signs")
            continue
        children = node.value
        if isinstance(node, yaml.MappingNode):
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
            found: set[tuple[str, str]] = set()
            for key in keys:
                if (key.tag, key.value) in found:
                    raise _refused(key, where, f"key {shown(key.value)} comes twice")
                found.add((key.tag, key.value))
            children = [part for pair in node.value for part in pair]
        for child in children:
            if id(child) not in known:
                known.add(id(child))
                waiting.append(child)


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """Find the line (from 1) of the value at a path of keys and indices; ``None`` if there is no such value.

    JSON is read as YAML. The text after the value is not read.
    """
    try:
        events = yaml.parse(text.replace("\t", " "), Loader=_Loader)
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                return _follow(event, events, path)
    except (yaml.YAMLError, StopIteration):
        pass
    return None


def _follow(event: Any, events: Iterator[Any], path: Sequence[str | int]) -> int | None:
    line = _line(event)
    if not path:
        return line
    step, index = path[0], 0
    while True:
        key = next(events)
        if isinstance(key, yaml.CollectionEndEvent):
            return None
        if isinstance(event, yaml.MappingStartEvent):
            _skip(key, events)
            if isinstance(key, yaml.ScalarEvent) and key.value == str(step):
                found = next(events)
                return _line(key) if len(path) == 1 else _follow(found, events, path[1:])
            _skip(next(events), events)
        elif isinstance(event, yaml.SequenceStartEvent):
            if index == step:
                return _follow(key, events, path[1:])
            index += 1
            _skip(key, events)
        else:
            return line


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _skip(event: Any, events: Iterator[Any]) -> None:
    """Read on to the end of the value that ``event`` begins."""
    depth = int(isinstance(event, yaml.CollectionStartEvent))
    while depth:
        event = next(events)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
