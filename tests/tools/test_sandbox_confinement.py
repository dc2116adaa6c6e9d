"""What hostile code reaches for: files, the network, other processes, the kernel. It gets none of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sandboxes import attack, refused

import toolwise
from toolwise.tools.sandbox.engine import SCRATCH_BYTES

pytestmark = pytest.mark.usefixtures("no_process_left")


# -- Files


def test_the_scratch_folder_is_small(bubblewrap):
    one = attack(bubblewrap, "f = open('big', 'wb')\nwhile True:\n    f.write(bytes(1 << 20))")
    refused(one, "File too large", "No space left")
    many = """
    for i in range(10_000):
        with open(f"part{i}", "wb") as file:
            file.write(bytes(1 << 20))
    """
    refused(attack(bubblewrap, many), "No space left")
    refused(attack(bubblewrap, "import os\nos.truncate(open('x', 'w').name, 1 << 40)"), "File too large")
    fits = f"open('x', 'wb').write(bytes({SCRATCH_BYTES // 2}))\nimport os\nos.listdir()"
    assert attack(bubblewrap, fits).text == "['x']\n"
    assert attack(bubblewrap, "import os\nos.listdir()").text == "[]\n"


def test_nothing_else_can_be_written(engine, tmp_path):
    places = ["/", "/usr", "/usr/lib", "/python", "/python/lib", "/packages", "/packages/numpy", "/dev",
              "/etc", "/usr/local/lib", str(tmp_path), str(Path.home()),
              str(Path(toolwise.__file__).parent)]  # fmt: skip
    outcome = attack(
        engine,
        f"""
        import os
        for place in {places}:
            try:
                open(os.path.join(place, "intruder"), "w")
                print("wrote", place)
            except OSError:
                pass
        print("done")
        """,
    )
    assert outcome.text == "done\n"
    assert outcome.error is None


def test_rights_of_files_cannot_be_changed(bubblewrap):
    for place in ("/", "/usr/lib", "/python/lib", "/packages/numpy", "/dev/null", "/python/bin/python3"):
        refused(attack(bubblewrap, f"import os\nos.chmod({place!r}, 0o777)"), "PermissionError", "Read-only")


def test_nothing_of_the_host_can_be_read(engine, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("swordfish")
    places = [secret, "/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/mountinfo", "/sys/kernel",
              Path(toolwise.__file__), Path.home(), Path.cwd(), Path(sys.prefix), "/dev/mem", "/dev/sda",
              "/dev/vda", "/root", "/home", "/var", "/run", "/boot"]  # fmt: skip
    outcome = attack(
        engine,
        f"""
        import os
        for place in {[str(place) for place in places]}:
            try:
                os.symlink(place, "link")
            except OSError:
                pass
            for path in (place, "link", "../../.." + place, "/tmp/../" + place):
                try:
                    os.listdir(path) if os.path.isdir(path) else print(open(path).read())
                    print("read", path)
                except OSError:
                    pass
            try:
                os.remove("link")
            except OSError:
                pass
        print("done")
        """,
    )
    assert outcome.text == "done\n"
    assert outcome.error is None


def test_the_environment_is_not_handed_on(engine, monkeypatch):
    monkeypatch.setenv("TOOLWISE_TEST_SECRET", "swordfish")
    outcome = attack(engine, "import os\nprint(sorted(os.environ.items()))")
    assert outcome.error is None
    assert "swordfish" not in outcome.text
    for name in ("PATH", "VIRTUAL_ENV", "USER", "SHELL"):
        assert f"'{name}'" not in outcome.text
    source = "import os\n[os.fstat(d) for d in range(3, 1024)]"
    refused(attack(engine, source), "Bad file descriptor", "OSError")


# -- Network


def test_there_is_no_network(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        for source in (
            f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)",
            f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/', timeout=5)",
            f"from socket import *\nsocket(AF_INET, SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
        ):
            refused(attack(engine, source), "Error", "rror:", "unknown url type")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_abstract_sockets_of_the_host_are_out_of_reach(bubblewrap):
    name = f"\0toolwise-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        source = f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})"
        refused(attack(bubblewrap, source), "PermissionError")


# -- Other processes, and the kernel


def test_no_signal_reaches_the_host(bubblewrap):
    with subprocess.Popen(["sleep", "1000"]) as victim:
        try:
            outcome = attack(
                bubblewrap,
                f"""
                import os
                for process in [1, {os.getpid()}, {os.getppid()}, {victim.pid}, -{victim.pid}, -1]:
                    try:
                        os.kill(process, 9)
                    except OSError:
                        pass
                print("alone", os.getppid())
                """,
            )
            assert outcome.text in ("alone 1\n", "")
            assert victim.poll() is None
        finally:
            victim.kill()


def test_no_rights_can_be_had(bubblewrap):
    for source in ("os.setuid(0)", "os.setgid(0)", "os.setgroups([0])", "os.setreuid(0, 0)",
                   "os.chroot('/tmp')", "os.nice(-1)",
                   "os.mknod('disk', 0o60600, os.makedev(254, 0))"):  # fmt: skip
        refused(attack(bubblewrap, f"import os\n{source}"), "PermissionError", "OSError")
    source = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))"
    refused(attack(bubblewrap, source), "ValueError", "PermissionError")


KERNEL = [
    "ptrace(0, 0, 0, 0)", "ptrace(16, 1, 0, 0)", "unshare(0x10000000)", "unshare(0x10020000)", "setns(0, 0)",
    "mount(b'none', b'/tmp', b'tmpfs', 0, None)", "umount2(b'/tmp', 2)", "syscall(-1)", "socket(16, 3, 0)",
    "personality(0x40000)", "prctl(38, 0, 0, 0, 0)", "sethostname(b'x', 1)", "reboot(0)", "chroot(b'/tmp')",
    "shmget(0, 4096, 0o1600)", "msgget(0, 0o1600)", "semget(0, 1, 0o1600)", "memfd_create(b'x', 0)",
    "process_vm_readv(1, 0, 0, 0, 0, 0)", "swapoff(b'/x')", "acct(b'/tmp/x')", "inotify_init()",
    "fanotify_init(0, 0)", "mlockall(1)", "quotactl(0, 0, 0, 0)", "vhangup()", "clone(0, 0, 0, 0)", "vfork()",
    "settimeofday(words, 0)", "clock_settime(0, words)", "sched_setscheduler(0, 1, words)", "epoll_pwait2()",
]  # fmt: skip


def test_the_kernel_refuses(bubblewrap):
    """Past Python and its own checks, straight to the C library."""
    source = f"""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_long * 8)()
    for call in {KERNEL}:
        function = getattr(libc, call.split("(")[0], None)
        if function is not None and eval("libc." + call) != -1:
            print(call)
        elif function is not None and ctypes.get_errno() not in (1, 22, 38):
            print(call, ctypes.get_errno())
    print("done")
    """
    assert attack(bubblewrap, source).text == "done\n"
