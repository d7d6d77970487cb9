import copy

from li_env.evaluation.fidelity.reference_videos import HANDMADE, HELD_OUT
from li_env.evaluation.fidelity.targets import targets


def _value(mean):
    return {"mean": mean, "std": 0.0, "n": 1}


def _series(value):
    return {"mean": [float(value)] * 16, "std": [0.0] * 16, "n": [1] * 16}


def _next(kind, steps, psnr, memory=True, place=HELD_OUT):
    return {
        "place": place, "kind": kind, "method": "world", "steps": steps, "memory": memory,
        "psnr": _value(psnr), "sharpness": _value(0.5),
    }  # fmt: skip


def _own(steps, psnr, sharpness, collapsed=0.0, memory=True, place=HELD_OUT):
    return {
        "place": place, "kind": "walk", "steps": steps, "memory": memory,
        "psnr": _series(psnr), "sharpness": _series(sharpness), "collapsed": _series(collapsed),
    }  # fmt: skip


def _look(kind, memory, psnr):
    return {"kind": kind, "first_look": "real", "memory": memory, "psnr/memory": _value(psnr)}


REPORT = {
    "next_chunk": [
        _next("walk", 4, 1.0, memory=False),
        _next("walk", 4, 2.0, place=HANDMADE),
        _next("walk", 4, 27.0),
        _next("walk", 16, 27.4),
        _next("way_back", 4, 32.0),
        _next("way_back", 16, 31.0),
    ],
    "own_rollouts": [_own(4, 18.0, 0.45), _own(16, 18.2, 0.6), _own(4, 1.0, 0.1, memory=False)],
    "revisits": [
        _look("out_and_back", True, 31.0),
        _look("out_and_back", False, 23.0),
        _look("spin", True, 32.0),
        _look("spin", False, 27.0),
    ],
}


def test_targets_read_the_numbers_they_say():
    rows = {row["bar"]: (round(row["value"], 6), row["reached"]) for row in targets(REPORT)}
    assert rows == {
        "next chunk, walk": (27.0, "must"),
        "next chunk, way back": (32.0, "aim"),
        "chunk 16 of an own walk": (18.0, "must"),
        "real first look, generated second": (31.0, "must"),
        "... above no memory": (5.0, "no"),
        "sharpness, chunk 2": (0.45, "must"),
        "sharpness, chunk 16": (0.45, "must"),
        "PSNR of 4 steps below 16": (0.4, "aim"),
        "sharpness of 4 steps below 16": (0.15, "no"),
        "collapsed frames of own rollouts": (0.0, "aim"),
    }


def test_the_chunk_is_counted_from_one():
    report = copy.deepcopy(REPORT)
    report["own_rollouts"][0]["psnr"]["mean"] = [float(chunk) for chunk in range(1, 17)]
    rows = {row["bar"]: row["value"] for row in targets(report)}
    assert rows["chunk 16 of an own walk"] == 16.0


def test_collapsed_frames_miss_a_target():
    report = copy.deepcopy(REPORT)
    report["own_rollouts"][0]["collapsed"] = _series(0.25)
    last = targets(report)[-1]
    assert last["reached"] == "no" and last["value"] > 0


def test_what_was_not_measured_is_not_reached():
    report = {"next_chunk": [], "own_rollouts": [], "revisits": []}
    for row in targets(report):
        assert row["value"] is None and row["reached"] is None
    short = copy.deepcopy(REPORT)
    for row in short["own_rollouts"]:
        row["psnr"]["mean"] = row["psnr"]["mean"][:4]
    assert {row["bar"]: row["reached"] for row in targets(short)}["chunk 16 of an own walk"] is None
