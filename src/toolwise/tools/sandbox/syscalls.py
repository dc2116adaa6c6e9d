"""The seccomp filter: the system calls that Python code with one thread needs, and no others.

It closes what namespaces and resource limits leave open: new processes and threads (so that a limit of the
process is a limit of the call), nested user namespaces, memory that no limit counts (System V shared memory,
memfd), and most of the kernel's attack surface. The filter is compiled by libseccomp for the machine's own
architecture; calls of another one end the process.
"""

from __future__ import annotations

import ctypes
import errno
import os

from toolwise.core import ToolwiseError

LIBRARY = "libseccomp.so.2"

ALLOWED = tuple(
    """
    access alarm arch_prctl brk chdir chmod chown clock_getres clock_gettime clock_nanosleep close
    copy_file_range dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2
    execve exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchown fcntl
    fdatasync flock fstat fstatfs fsync ftruncate futex getcpu getcwd getdents64 getegid geteuid getgid
    getgroups getitimer getpgid getpgrp getpid getppid getrandom getresgid getresuid getrlimit getrusage
    getsid gettid gettimeofday getuid ioctl kill lchown link linkat lseek lstat madvise mincore mkdir
    mkdirat mmap mprotect mremap msync munmap nanosleep newfstatat open openat pause pipe pipe2 poll
    ppoll pread64 preadv prlimit64 pselect6 pwrite64 pwritev read readlink readlinkat readv recvfrom
    rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_getaffinity sched_yield select sendfile sendto
    set_robust_list set_tid_address setgid setgroups setitimer setrlimit setuid sigaltstack socketpair
    stat statfs statx symlink symlinkat sysinfo tgkill time times tkill truncate umask uname unlink
    unlinkat utime utimensat utimes wait4 waitid write writev
    """.split()  # noqa: SIM905
)

REFUSED = ("clone", "clone3", "fork", "vfork", "socket")
"""What code tries in good faith: "not permitted" says more than "not implemented", which all others give."""

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000


def filter_program() -> bytes:
    """The filter as a classic BPF program, as ``bwrap --seccomp`` takes it.

    Raises:
        ToolwiseError: libseccomp is missing or refuses.
    """
    library = _library()
    context = library.seccomp_init(_ERRNO | errno.ENOSYS)
    if not context:
        raise ToolwiseError("libseccomp cannot make a filter", mend="use a newer libseccomp")
    try:
        for action, names in ((_ALLOW, ALLOWED), (_ERRNO | errno.EPERM, REFUSED)):
            for name in names:
                number = library.seccomp_syscall_resolve_name(name.encode())
                # Negative: this architecture or this release of the library does not know the call.
                if number >= 0 and library.seccomp_rule_add_array(context, action, number, 0, None) != 0:
                    raise ToolwiseError(
                        f"libseccomp refuses a rule for {name}", mend="use a newer libseccomp"
                    )
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _export(library: ctypes.CDLL, context: int) -> bytes:
    descriptor = os.memfd_create("seccomp")
    try:
        if library.seccomp_export_bpf(context, descriptor) != 0:
            raise ToolwiseError("libseccomp cannot write the filter", mend="use a newer libseccomp")
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read()
    finally:
        os.close(descriptor)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise ToolwiseError(
            f"{LIBRARY} is not installed", mend="install it (Debian: apt-get install libseccomp2)"
        ) from error
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
    ]  # fmt: skip
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library
