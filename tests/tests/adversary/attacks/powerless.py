#!/usr/bin/env python3
"""Tries all that one process can do to another: powerless.py PID DIR…; says "COULD" for what the kernel lets it do to the recorder,
its threads, its children, and the directories."""
import ctypes, os, signal, socket, sys

signal.alarm(60)
libc = ctypes.CDLL(None, use_errno=True)
first = int(sys.argv[1])

def attempt(what, call):
    try:
        result = call()
    except OSError as error:
        print(what, "no:", error.strerror)
    else:
        print("COULD" if result != -1 else "no:", what, result, flush=True)

def system(number, *words):
    result = libc.syscall(number, *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def family(pid):
    found = [pid]
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        found.append(int(task))
        try:
            children = open(f"/proc/{pid}/task/{task}/children").read().split()
        except OSError:
            children = []
        for child in children:
            found += family(int(child))
    return sorted(set(found))

for pid in family(first):
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGUSR1, signal.SIGHUP, 0):
        attempt(f"kill {pid} {number}", lambda: os.kill(pid, number))
    attempt(f"ptrace {pid}", lambda: system(101, 16, pid, 0, 0))
    attempt(f"seize {pid}", lambda: system(101, 0x4206, pid, 0, 0))
    attempt(f"prlimit {pid}", lambda: system(302, pid, 7, (ctypes.c_ulong * 2)(10, 10), None))
    attempt(f"nice {pid}", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    attempt(f"affinity {pid}", lambda: os.sched_setaffinity(pid, {0}))
    attempt(f"idle {pid}", lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
    attempt(f"ionice {pid}", lambda: system(251, 1, pid, 3 << 13))
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    attempt(f"memory {pid}", lambda: system(310, pid, vector, 1, vector, 1, 0))
    attempt(f"migrate {pid}", lambda: system(256, pid, 1, ctypes.byref(ctypes.c_ulong(1)), ctypes.byref(ctypes.c_ulong(1))))
    for name in ("mem", "environ", "syscall", "maps", "fd/0"):
        attempt(f"read {pid}/{name}", lambda: os.open(f"/proc/{pid}/{name}", os.O_RDONLY) and os.read(os.open(f"/proc/{pid}/{name}", os.O_RDONLY), 1))
    for name, text in (("oom_score_adj", "1000"), ("comm", "x"), ("clear_refs", "1"), ("timerslack_ns", "1000000000"), ("coredump_filter", "0"), ("sched", "0"), ("autogroup", "19")):
        def write(name=name, text=text):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write(text)
            return 0
        attempt(f"write {pid}/{name}", write)
    for number in range(12):
        def take():
            held = os.pidfd_open(pid)
            return system(438, held, number, 0)
        attempt(f"descriptor {number} of {pid}", take)
for directory in sys.argv[2:]:
    attempt(f"list {directory}", lambda: len(os.listdir(directory)))
    attempt(f"write in {directory}", lambda: os.open(os.path.join(directory, "mine"), os.O_CREAT | os.O_WRONLY))
    attempt(f"move {directory}", lambda: os.rename(directory, directory + "-away"))
    attempt(f"remove {directory}", lambda: os.rmdir(directory))

def talk():
    there = socket.socket(socket.AF_UNIX)
    there.connect(os.path.join(sys.argv[2], "pofrc.sock"))
    return 0
attempt("talk to its socket", talk)
print("done", flush=True)
signal.pause()
