"""Where numbers are made: the device, its settings, versions, the process, and what Slurm says of its allocation."""

import inspect
import os
import platform
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.optim import SGD, Optimizer

import harness
from harness.api.errors import MachineError, UsageError
from harness.records.calibration import Fingerprint
from harness.records.ledger import ProcessInfo
from harness.records.schema import Engine, Environment
from harness.train.heap import keep_freed_memory

MOST_WARNINGS = 20


def pick_device() -> torch.device:
    """The first CUDA device that is visible, else the CPU.

    Raises `MachineError` where Slurm gave a GPU that torch cannot use; on a core a run would take for ever.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if torch.version.cuda is not None and os.environ.get("SLURM_GPUS_ON_NODE", "0") != "0":
        raise MachineError(f"{socket.gethostname()}: Slurm gave this job a GPU, and torch finds none that works")
    return torch.device("cpu")


def prepare_device(device: torch.device, engine: Engine) -> None:
    """Process-wide settings of torch that belong to the protocol; the same for every run.

    Raises `UsageError` where the device cannot do what the engine's settings ask for.
    """
    if engine.compile and device.type != "cuda":
        raise UsageError("engine.compile: true needs a CUDA device, and this process sees none; leave it out on a CPU")
    if engine.precision == "bfloat16" and device.type == "cpu" and not has_native_bfloat16():
        raise UsageError(
            f"engine.precision: bfloat16 needs a CPU that computes in it (AVX512_BF16, AMX_BF16, or BF16 of aarch64); "
            f"{cpu_model()} has none of them and would take several times as long as with float32: leave it out"
        )
    torch.set_num_threads(engine.threads)
    torch.set_flush_denormal(True)
    keep_compiler_out()
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        # torch lets convolutions use TF32 by default, which would make "float32" a name and not a fact
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def has_native_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; others emulate it."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def keep_compiler_out() -> None:
    """Spare this process the import of torch's compiler, which takes as long as that of torch itself.

    torch imports it with the first optimiser, to mark these methods as not to be compiled, and with the first step of
    SGD, to break the compiler's graph there. A process that compiles imports it before this, and gets both.
    """
    if "torch._dynamo" in sys.modules or hasattr(inspect.unwrap(Optimizer.zero_grad), "__dynamo_disable"):
        return
    for method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
        function: Any = inspect.unwrap(method)
        function.__dynamo_disable = function  # where torch keeps the marked function, which is called instead
    SGD.step = torch.no_grad()(inspect.unwrap(SGD.step))  # type: ignore[method-assign]


def describe(
    device: torch.device,
    engine: Engine,
    data_checksum: str,
    data_warnings: Sequence[str] = (),
    spacing_source: str | None = None,
) -> Environment:
    """The environment record of this process; data_warnings, spacing_source: of the manifest of the data."""
    return Environment(
        device_model=device_model(device),
        device_type="cuda" if device.type == "cuda" else "cpu",
        threads=engine.threads,
        precision=engine.precision,
        torch=torch.__version__,
        cuda=torch.version.cuda if device.type == "cuda" else None,
        data_checksum=data_checksum,
        shown={
            "harness": harness.__version__,
            "commit": commit(),
            "python": platform.python_version(),
            "host": socket.gethostname(),
            "numpy": version("numpy"),
            "driver": _driver() if device.type == "cuda" else None,
            "gpu": _ask_gpu(device, "power.limit,clocks.max.sm,clocks.max.mem") if device.type == "cuda" else None,
            "gpu_part": gpu_part(device_model(device), os.environ) if device.type == "cuda" else None,
            "compile": "one CUDA graph a stage" if engine.compile else None,
            "cudnn": str(torch.backends.cudnn.version()) if device.type == "cuda" else None,
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
            "voxel_size": spacing_source,
            "data_warnings": "\n".join(first_warnings(data_warnings)) or None,
        },
    )


def gpu_part(model: str, environment: Mapping[str, str]) -> str | None:
    """Why a GPU is not this run's alone; None for a whole one.

    model: as CUDA names the device: that of a slice ends with MIG and its profile. environment: where MPS and Slurm say
    that several share a GPU.
    """
    _, sliced, profile = model.partition(" MIG ")
    if sliced:
        return f"a slice (MIG {profile})"
    if environment.get("SLURM_SHARDS_ON_NODE"):
        return "shared (a shard of Slurm)"
    shared = "CUDA_MPS_PIPE_DIRECTORY" in environment or "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE" in environment
    return "shared (MPS)" if shared else None


def first_warnings(warnings: Sequence[str]) -> list[str]:
    """As many as a record holds; all of them stand in the manifest of the data."""
    rest = len(warnings) - MOST_WARNINGS
    more = [f"and {rest} more in the manifest of the prepared data"] if rest > 0 else []
    return [*warnings[:MOST_WARNINGS], *more]


def device_model(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_model()


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def fingerprint(device: torch.device) -> Fingerprint:
    """The device and the software below torch: what a step's cost depends on."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        power = _ask_gpu(device, "power.limit")
        details = {"multiprocessors": str(properties.multi_processor_count), "power_limit": power or "unknown"}
        software = {"torch": torch.__version__, "cudnn": str(torch.backends.cudnn.version())}
        return Fingerprint(device_type="cuda", device_model=device_model(device), device=details, software=software)
    onednn = re.search(r"v(\d+(?:\.\d+)+)", torch.__config__.show().partition("MKL-DNN")[2])
    software = {"torch": torch.__version__, "onednn": onednn[1] if onednn else "none"}
    return Fingerprint(device_type="cpu", device_model=cpu_model(), device=_cpu_details(), software=software)


def _cpu_details() -> dict[str, str]:
    """Family, model, stepping and caches of the first processor, as Linux tells; empty elsewhere."""
    names = {"cpu family": "family", "model": "model", "stepping": "stepping"}
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        fields = (line.partition(":") for line in first.splitlines())
        details = {names[name.strip()]: value.strip() for name, _, value in fields if name.strip() in names}
        for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
            level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
            details[f"L{level} {kind.lower()}"] = size
        return details
    return {}


def reset_peak_memory(device: torch.device) -> None:
    """Forget earlier peaks: those of a warm-up, or of other runs in the same process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # Linux: 5 resets the peak of the resident set
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak_memory_bytes(device: torch.device) -> int:
    """Peak since `reset_peak_memory`: of the device's allocator on CUDA, of the process's resident set on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
        if peaks:
            return peaks[0] * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@lru_cache(maxsize=1)
def commit() -> str | None:
    """Git commit of the harness, marked when the tree has changes; None outside a checkout."""
    root = Path(harness.__file__).resolve().parent.parent
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _ask_gpu(device: torch.device, fields: str) -> str:
    """Fields of `nvidia-smi --query-gpu` with their units; empty where it is missing or does not know the device."""
    command = ["nvidia-smi", f"--id={gpu_uuid(device)}", f"--query-gpu={fields}", "--format=csv,noheader"]
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""


def _driver() -> str | None:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return None
    return text.splitlines()[0].strip()


def read_process_info(device: torch.device, environment: Mapping[str, str] = os.environ) -> ProcessInfo:
    """The calling process, as the ledger remembers it; environment: its variables, where Slurm says what it knows."""
    job = environment.get("SLURM_JOB_ID") or None
    index = environment.get("SLURM_ARRAY_TASK_ID", "")
    return ProcessInfo(
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started_at=process_started_at(),
        gpu_uuid=gpu_uuid(device),
        job=job,
        array_job=environment.get("SLURM_ARRAY_JOB_ID"),
        array_index=int(index) if index.isdecimal() else None,
        node=environment.get("SLURMD_NODENAME"),
        gres=gres(environment),
        restarts=None if job is None else int(environment.get("SLURM_RESTART_COUNT") or 0),
    )


def gres(environment: Mapping[str, str]) -> str | None:
    """GPUs of the job on this node: gpu:TYPE:COUNT, without a type where none was requested; None without GPUs.

    --gpus=a100:2 and --gpus-per-node=a100:2 leave the type in a variable, --gres=gpu:a100:2 does not: the scheduler's
    accounts tell it later.
    """
    count = environment.get("SLURM_GPUS_ON_NODE")
    if not count:
        return None
    requested = environment.get("SLURM_GPUS_PER_NODE") or environment.get("SLURM_GPUS") or ""
    kind = requested.rpartition(":")[0]
    return f"gpu:{kind}:{count}" if kind else f"gpu:{count}"


def process_started_at() -> str | None:
    """When the calling process was created, UTC, ISO 8601, to 10 ms; None where there is no /proc.

    Its age on the clock that runs since boot is taken from the time of day: the boot time in /proc/stat is whole
    seconds.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    age_seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - max(0.0, age_seconds), UTC).isoformat(timespec="milliseconds")


def gpu_uuid(device: torch.device) -> str | None:
    """As nvidia-smi writes it; None on a CPU."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}" if device.type == "cuda" else None
