"""Whether processes were killed for lack of memory, which is no fault of the run that was hit."""

import re
from contextlib import suppress
from pathlib import Path

NO_MEMORY = "ended for lack of memory on its machine; run fewer at once, or ask for more memory"


def count_memory_kills() -> int:
    """Processes that the kernel has killed for lack of memory: in this control group, else since boot; 0 if untold."""
    group = ""
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    for path in (Path(f"/sys/fs/cgroup{group}/memory.events"), Path("/proc/vmstat")):
        with suppress(OSError):
            match = re.search(r"^oom_kill (\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            if match:
                return int(match[1])
    return 0
