"""The C heap of a process that trains on a CPU, where torch takes every tensor from and hands it back."""

import ctypes
import mmap
import platform
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's numbers for `mallopt`."""
MOST_BYTES = 2**31 - 1
KEPT_BLOCK_BYTES = 1 << 26
"""Larger blocks go back to the system when they are freed: a step that makes them has other costs."""
HUGE_BYTES = 1 << 30
"""So much of the heap is asked to lie in huge pages: address space, which costs nothing until it is used."""
HUGE_PAGE_BYTES = 1 << 21


@cache
def keep_freed_memory() -> None:
    """Have glibc keep what is freed, in huge pages where Linux gives some to who asks; no effect elsewhere.

    By default every step hands its tensors' pages back to the system and gets them again, one fault and one cleared
    page for each 4 KiB.
    """
    if platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32:
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_TRIM_THRESHOLD, MOST_BYTES)
    libc.mallopt(M_MMAP_THRESHOLD, MOST_BYTES)  # for one block, so that it lies in the heap
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    block = libc.malloc(HUGE_BYTES)
    libc.mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK_BYTES)
    if block is None:  # no address space left: pages stay small
        return
    first = -(-block // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
    libc.madvise(first, HUGE_BYTES - HUGE_PAGE_BYTES, mmap.MADV_HUGEPAGE)
    libc.free(block)
