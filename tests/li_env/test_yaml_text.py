from __future__ import annotations

import time

import pytest

from li_env.yaml_text import line_of, parse_yaml


def nested(levels: int, width: int = 10) -> str:
    """Few lines whose aliases unfold to width ** levels values."""
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 30_000 + "]" * 30_000, "f:1: not usable YAML: lists or mappings more than 64 deep"),
        ("- " * 30_000, "more than 64 deep"),
        ("{a: " * 70 + "}" * 70, "more than 64 deep"),
        ("a: &a [*a]", "f:1: not usable YAML: alias *a stands inside what it stands for"),
        ("x: 1\na: &a {b: [1, *a]}", "f:2: not usable YAML: alias *a stands inside"),
        (nested(9), "more than 300,000 values, aliases unfolded"),
        ("\n".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 20)}]}}" if n else "m0: &m0 {a: 1}"
                   for n in range(9)), "more than 300,000 values"),
        ("- x\n" * 300_001, "more than 300,000 values"),
        ("a: 1\nb: 2\na: 3", "f:3: not usable YAML: key 'a' comes twice"),
        ("a: [{b: 1, b: 2}]", "key 'b' comes twice"),
        (f"a: 1{':1' * 500_000}", "f:1: not usable YAML: the number '1:1"),
        ("a: " + "9" * 5000, "has more than 200 signs"),
        ("a: !!python/object/apply:os.system [ls]", "f:1: not YAML: could not determine a constructor"),
        (f"a: !<{'x' * 5000}> 1", "could not determine a constructor"),
        ("a: !!bool maybe", "f: not YAML: KeyError"),
        ("a: !!timestamp x", "f: not YAML: "),
        ("a: !!int x", "f: not YAML: ValueError"),
        ("a: 2020-13-45", "f: not YAML: ValueError: month must be in 1..12"),
        ("a: b: c", "f:1: not YAML: "),
        ("a: [1", "not YAML: "),
        ("? [a]\n: 1", "not YAML: found unhashable key"),
        ("--- 1\n--- 2", "not YAML: "),
        ("a: \x00", "f: not YAML: "),
        ("*nobody", "f:1: not YAML: found undefined alias"),
    ],
    ids=range(24),
)  # fmt: skip
def test_hostile_text_is_one_short_line(text, message):
    began = time.process_time()
    with pytest.raises(ValueError, match="^f:") as caught:
        parse_yaml(text, "f")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
    assert time.process_time() - began < 20


def test_ordinary_yaml_is_read():
    text = "base: &b {a: 1, c: {<<: &i {d: 2}, e: *i}}\nx: {<<: *b, a: 3}\ny: [1.5, null, off, é, 0x10]\n"
    assert parse_yaml(text, "f") == {
        "base": {"a": 1, "c": {"d": 2, "e": {"d": 2}}},
        "x": {"a": 3, "c": {"d": 2, "e": {"d": 2}}},
        "y": [1.5, None, False, "é", 16],
    }
    assert parse_yaml("", "f") is None and parse_yaml("# nothing\n", "f") is None
    assert parse_yaml("\ufeffa: 1", "f") == {"a": 1}


@pytest.mark.parametrize(
    ("path", "line"),
    [((), 1), (("a",), 2), (("b",), 3), (("b", 0), 4), (("b", 1, "c"), 6), (("b", 2), None), (("d",), None)],
)
def test_the_line_of_a_value(path, line):
    assert line_of("# first\na: [[1], {b: 2}]\nb:\n- 1\n- x: {y: [1]}\n  c: 2\n".replace("# first", ""), path) in (
        line, {1: 2}.get(line, line)
    )  # fmt: skip
    json = '\n{\n\t"b": [\n{}, \n{"x": 1,\n"c": 2}]}'
    assert line_of(json, ("b", 1, "c")) == 6
    assert line_of("[" * 5000, (0, 0)) in (1, None) and line_of('{"a": "\\ud83d"}', ("b",)) is None
