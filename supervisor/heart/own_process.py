"""What heart makes of its own process: orphans, open files, its name, its memory."""

import ctypes
import os
import resource

PR_SET_CHILD_SUBREAPER = 36
OPEN_FILES_WANTED = 65_536
COMM = "osv-heart"


def become_subreaper() -> None:
    """Orphans below this process become its children, as if it were init.

    Raises OSError where the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def trim_memory() -> None:
    """Give the kernel back what imports and compiling left behind, where libc is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def open_standard_descriptors() -> None:
    """0, 1 and 2 are open, so that no socket lands there."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd < 3:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


def raise_open_files() -> None:
    """The soft limit of open files is raised, for heart and all below it; 1,024 is too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < ceiling:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))


def name_process() -> None:
    """Be called COMM in ps and top."""
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(COMM)
    except OSError:
        return  # a name for people, no more
