import os
import signal
import stat

from harness.records.temporary import temporary_folder
from tests.records.processes import forked


def die_inside(home):
    with temporary_folder("x-", home) as folder:
        (folder / "half").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_left_goes_at_the_next_use(tmp_path):
    forked(die_inside, tmp_path).join()
    assert len(list(tmp_path.rglob("half"))) == 1
    with temporary_folder("x-", tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine.parent]
        assert stat.S_IMODE(mine.parent.stat().st_mode) == 0o700
        with temporary_folder("x-", tmp_path):
            assert mine.is_dir(), "its owner lives"
    assert not list(tmp_path.iterdir())
