"""Contract suites for a world model and for a task of one's own.

Run them in the tests of a package that brings its own::

    from li_env.testing import check_task, check_world

    def test_my_world():
        check_world(MyWorld())

    def test_my_task():
        check_task(MyTask(), MyWorld())

Both return nothing and raise a ``ValueError`` that names the first fault.
"""

from __future__ import annotations

from li_env.testing.tasks import check_task
from li_env.testing.worlds import check_world

__all__ = ["check_task", "check_world"]
