"""What hostile code tries. All of it must fail, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from sandboxes import MEMORY, sandbox_processes

import toolwise
from toolwise.core import ErrorKind, Task
from toolwise.tools import Session, python_tool
from toolwise.tools.sandbox.engine import MAX_OUTPUT_BYTES, SCRATCH_BYTES

pytestmark = pytest.mark.usefixtures("no_process_left")


def attack(engine, source):
    return engine.run(textwrap.dedent(source), threading.Event())


def refused(outcome, *words):
    """The code failed by an exception that says one of the words."""
    assert outcome.error is ErrorKind.TOOL_FAILURE
    assert outcome.problem == "the code failed"
    last = outcome.text.splitlines()[-1]
    assert any(word in last for word in words), outcome.text


# -- Processes and threads


@pytest.mark.parametrize(
    "source",
    [
        "import os\nwhile True:\n    os.fork()",
        "import os\nos.forkpty()",
        "import os\nos.posix_spawn('/python/bin/python3', ['python3'], {})",
        "import subprocess\nsubprocess.Popen(['/python/bin/python3', '-c', 'while True: pass'])",
        "import subprocess\nsubprocess.run('sleep 1000 &', shell=True, check=True)",
        "import multiprocessing\nmultiprocessing.get_context('spawn').Process(target=print).start()",
        "import threading\nthreading.Thread(target=print, daemon=True).start()",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(2).submit(print)",
    ],
)
def test_no_process_and_no_thread_can_be_started(engine, source):
    refused(
        attack(engine, source),
        "PermissionError", "can't start new thread", "AttributeError", "OSError", "ModuleNotFoundError",
        "ImportError", "BlockingIOError", "FileNotFoundError",
    )  # fmt: skip


def test_another_program_keeps_the_limits(bubblewrap):
    """Code may become another program: there is none but the interpreter, and it is as confined."""
    outcome = attack(
        bubblewrap,
        """
        import os
        child = "import os, resource as r; print(os.getuid(), r.getrlimit(r.RLIMIT_AS)[1]); os.fork()"
        os.execv("/python/bin/python3", ["/python/bin/python3", "-S", "-c", child])
        """,
    )
    assert f"1 {MEMORY}\n" in outcome.text
    assert "PermissionError" in outcome.text
    for program in ("/bin/sh", "/usr/bin/env", "/sbin/init"):
        refused(attack(bubblewrap, f"import os\nos.execv({program!r}, ['x'])"), "FileNotFoundError")


# -- Time


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "import time\ntime.sleep(1000)",
        "10 ** 10 ** 10",
        "print('begun')\nimport os\nos.close(1)\nos.close(2)\nwhile True: pass",
    ],
)
def test_endless_code_is_stopped(hurried, source):
    assert attack(hurried, source).error is ErrorKind.TIMEOUT


def test_signals_that_are_ignored_do_not_help(hurried):
    source = """
    import signal
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass
    """
    assert attack(hurried, source).error is not None


# -- Memory


@pytest.mark.parametrize(
    "source",
    [
        "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))",
        "kept = 'x' * (3 << 30)",
        "import numpy\nnumpy.ones((1 << 14, 1 << 14)).sum()",
        "import mmap\nkept = mmap.mmap(-1, 3 << 30)",
        "kept = [0]\nwhile True:\n    kept = [*kept, *kept]",
    ],
)
def test_memory_is_limited(engine, source):
    outcome = attack(engine, source)
    assert outcome.error is ErrorKind.TOOL_FAILURE
    assert any(
        word in outcome.text + outcome.problem
        for word in (
            "MemoryError",
            "OverflowError",
            "ValueError",
            "OSError",
            "ModuleNotFoundError",
            "crashed",
        )
    )


def test_memory_that_no_limit_of_a_process_counts(bubblewrap):
    """System V segments outlive what is mapped; files in memory belong to no folder."""
    refused(attack(bubblewrap, "import os\nos.memfd_create('x')"), "OSError", "PermissionError")
    shared = "from multiprocessing.shared_memory import SharedMemory\nSharedMemory('x', True, 9)"
    refused(attack(bubblewrap, shared), "FileNotFoundError", "OSError", "PermissionError")
    source = "import ctypes\nctypes.CDLL(None).shmget(0, 1 << 20, 0o1600)"
    assert attack(bubblewrap, source).text == "-1\n"


def test_crashes_are_results(bubblewrap):
    for source in (
        "import ctypes\nctypes.string_at(0)",
        "import os\nos.abort()",
        "import os\nos.kill(os.getpid(), 11)",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x):\n    return sorted([x], key=f)\nf(1)",
    ):
        outcome = attack(bubblewrap, source)
        assert outcome.error is ErrorKind.TOOL_FAILURE
        assert outcome.problem.startswith("the code crashed (SIG"), source


def test_deep_recursion(engine):
    refused(attack(engine, "def f(n):\n    return f(n + 1)\nf(0)"), "RecursionError")
    nested = attack(engine, "eval('(' * 100_000 + ')' * 100_000)")
    assert nested.error is ErrorKind.TOOL_FAILURE


def test_endless_recursion(hurried):
    endless = attack(
        hurried, "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n):\n    return f(n + 1)\nf(0)"
    )
    assert endless.error is not None


# -- Output


@pytest.mark.parametrize(
    "source",
    [
        "for _ in range(1024):\n    print('x' * (1 << 20))",
        "while True:\n    print('x' * 99)",
        "print('x' * (100 << 20))",
        "import os\nwhile True:\n    os.write(2, b'x' * 65536)",
    ],
)
def test_floods_are_stopped(hurried, source):
    outcome = attack(hurried, source)
    # A slow guest may reach the end of its time first.
    if hurried.name == "bubblewrap" or outcome.error is not ErrorKind.TIMEOUT:
        assert outcome.error is ErrorKind.TOOL_FAILURE
        assert outcome.problem == "the code printed more than 1 MiB and was stopped"
    assert len(outcome.text) <= 2 * MAX_OUTPUT_BYTES


def test_binary_output(engine):
    text = attack(engine, "import sys\nsys.stdout.buffer.write(bytes(range(256)))\nprint('\\udcff')").text
    assert text.encode()
    assert "\ufffd" in text


def test_streams_that_are_closed(engine):
    assert attack(engine, "import os\nprint('a')\nos.close(1)").text == "a\n"
    assert attack(engine, "import sys\nprint('a')\nsys.stdout.close()\nsys.stderr.close()").text.startswith(
        "a\n"
    )
    outcome = attack(engine, "import sys\nsys.stdout = None\nsys.stderr = None\n1 / 0")
    refused(outcome, "ZeroDivisionError")


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


# -- Calls that end before they are done


def session():
    return Session(Task("t", ({"role": "user", "content": "?"},), tools=("python",)))


@pytest.mark.parametrize("seconds", [0, 0.05, 1])
async def test_cancelled_calls_leave_nothing(engine, seconds):
    """At any moment: queued, starting, running."""
    before = sandbox_processes()
    tool = python_tool(engine)
    calls = [asyncio.ensure_future(tool.call(session(), code="while True: pass")) for _ in range(8)]
    await asyncio.sleep(seconds)
    for one in calls:
        one.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)
    wait_until(lambda: set(sandbox_processes()) <= set(before))


async def test_hundreds_of_calls_in_flight(engine):
    tool = python_tool(engine)
    codes = [
        ["print({0})", "1 / 0  # {0}", "import os; os._exit(0)  # {0}"][i % 3].format(i) for i in range(300)
    ]
    before = len(os.listdir("/proc/self/fd"))
    results = await asyncio.gather(*(tool.call(session(), code=code) for code in codes))
    for i, result in enumerate(results):
        expected = [str(i), "division by zero", "The code printed nothing."][i % 3]
        assert result.content.endswith(expected)
        assert result.error is (ErrorKind.TOOL_FAILURE if i % 3 == 1 else None)
    assert len(os.listdir("/proc/self/fd")) <= before + 4  # what the event loop itself keeps


def test_the_death_of_the_host_ends_its_calls(bubblewrap):
    memory = MEMORY + 2048
    program = textwrap.dedent(
        f"""
        import threading
        from toolwise.tools.sandbox import SandboxLimits, choose_engine
        engine = choose_engine("bubblewrap", SandboxLimits(600, {memory}))
        engine.run("import time; time.sleep(2000)", threading.Event())
        """
    )
    with subprocess.Popen([sys.executable, "-c", program]) as host:
        try:
            # bubblewrap, the sandbox's first process, and the code.
            wait_until(lambda: len(sandbox_processes(memory)) >= 3)
        finally:
            host.send_signal(signal.SIGKILL)
    wait_until(lambda: sandbox_processes(memory) == [])


def wait_until(condition):
    """Not a time that is measured: only the end of waiting for something that never comes."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")
