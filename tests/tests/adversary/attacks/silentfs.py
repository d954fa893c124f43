#!/usr/bin/env python3
"""A filesystem of an ordinary user that falls silent: one directory with the files f, g and prog, spoken for through /dev/fuse.

silentfs.py DEVICE MOUNTPOINT DO [PROGRAM]: mounts itself (in a user namespace of its own unless it is root), answers all
requests until the process that plays in it has done what DO says, then answers none:
  deleted   holds f open, removes it                       (links that end in the kernel's mark are looked at)
  program   runs prog, which is a copy of PROGRAM           (its link, its digest)
  cwd       has its working directory there
  arguments points its arguments at a mapping of g          (reading them waits for the page)
  lock      is in mmap(2) for ever, with its lock held      (reading any of its memory waits)
Says "silent PID" when it is silent, with the process that plays.
"""
import ctypes, os, signal, struct, subprocess, sys, time

device, where, do = sys.argv[1:4]
signal.alarm(60)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]

def fail(what):
    sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")

uid, gid = os.getuid(), os.getgid()
if uid != 0:
    if libc.unshare(0x10000000 | 0x00020000) != 0:  # CLONE_NEWUSER, CLONE_NEWNS
        fail("unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
fuse = os.open(device, os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"silentfs", where.encode(), b"fuse.silentfs", 0, options.encode()) != 0:
    fail("mount")

# fuse.h of the kernel: operations by number.
LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, OPEN, READ, WRITE, STATFS = 1, 2, 3, 4, 10, 14, 15, 16, 17
RELEASE, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, FORGETS = 18, 25, 26, 27, 28, 29, 36, 42
content = {2: b"f" * 4096, 3: b"arg\0" * 16384, 4: open(sys.argv[4], "rb").read() if do == "program" else b""}
inodes = {b"f": 2, b"g": 3, b"prog": 4}
opens = 0

def attributes(node):
    mode, links, size = (0o040777, 2, 0) if node == 1 else (0o100777, 1, len(content[node]))
    times = struct.pack("<QQQ", *[1_700_000_000] * 3)
    return struct.pack("<QQQ", node, size, (size + 511) // 512) + times + struct.pack("<IIIIIIIIII", 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)

def answer(request, body=b"", error=0):
    try:
        os.write(fuse, struct.pack("<IiQ", 16 + len(body), -error, request) + body)
    except OSError:
        pass

def serve(operation, request, node, body):
    global opens
    if operation in (FORGET, FORGETS, INTERRUPT):
        return
    if operation == WRITE and do == "lock":
        return  # who waits for this holds the lock of his mapping
    if operation == INIT:
        answer(request, struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 9, 65536, 1, 32, 0, 0) + bytes(28))
    elif operation == LOOKUP:
        found = inodes.get(body.rstrip(b"\0"))
        if found is None:
            return answer(request, error=2)
        answer(request, struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + attributes(found))
    elif operation in (GETATTR, SETATTR):
        answer(request, struct.pack("<QII", 0, 0, 0) + attributes(node))
    elif operation == OPEN:
        opens += 1
        # FOPEN_DIRECT_IO for the second opening, FOPEN_KEEP_CACHE: mapping it first writes back what the first made dirty.
        answer(request, struct.pack("<QII", opens, 3 if do == "lock" and opens == 2 else 2, 0))
    elif operation == OPENDIR:
        answer(request, struct.pack("<QII", 1, 0, 0))
    elif operation == READ:
        offset, size = struct.unpack_from("<QI", body, 8)
        answer(request, content[node][offset:offset + size])
    elif operation == READDIR:
        answer(request)
    elif operation == UNLINK:
        inodes.pop(body.rstrip(b"\0"), None)
        answer(request)
    elif operation == STATFS:
        answer(request, bytes(80))
    elif operation in (RELEASE, FLUSH, RELEASEDIR, WRITE):
        answer(request, struct.pack("<II", 0, 0) if operation == WRITE else b"")
    else:
        answer(request, error=38)

def point_arguments_at(address, size):
    """PR_SET_MM, PR_SET_MM_MAP: proc_pid_stat(5) has what stays as it is."""
    field = [0] * 3 + open("/proc/self/stat").read().rsplit(") ", 1)[1].split()
    number = lambda n: int(field[n])
    brk = libc.sbrk
    brk.restype = ctypes.c_void_p
    values = [number(26), number(27), number(45), number(46), number(47), brk(0), number(28), address, address + size, number(50), number(51), 0]
    room = struct.pack("<12QIi", *values, 0, -1)
    if libc.prctl(35, 14, room, len(room), 0) != 0:
        fail("PR_SET_MM_MAP")

def play(done):
    signal.alarm(60)
    if os.getuid() == 0 and uid == 0:  # mounted by root, played in by an ordinary user
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
    path = lambda name: os.path.join(where, name)
    if do == "deleted":
        held = os.open(path("f"), os.O_RDONLY)
        os.unlink(path("f"))
    elif do == "cwd":
        os.chdir(where)
    elif do == "arguments":
        file = os.open(path("g"), os.O_RDONLY)
        address = libc.mmap(None, 65536, 1 | 2, 2, file, 0)
        point_arguments_at(address, 65536)
    elif do == "lock":
        first = os.open(path("g"), os.O_RDWR)
        shared = libc.mmap(None, 4096, 1 | 2, 1, first, 0)
        ctypes.memset(shared, 0x41, 4)
        second = os.open(path("g"), os.O_RDWR)
        os.write(done, b"x")
        libc.mmap(None, 4096, 1, 2, second, 0)
    elif do == "program":
        os.write(done, b"x")
        os.execv(path("prog"), ["pofr-silent-program", "60"])
    os.write(done, b"x")
    while True:
        time.sleep(1)

here, there = os.pipe()
player = os.fork()
if player == 0:
    os.close(fuse)
    os.close(here)
    play(there)
os.set_blocking(here, False)
os.set_blocking(fuse, False)
played = None
while True:
    if played is None:
        try:
            if os.read(here, 1):
                played = time.monotonic()
        except BlockingIOError:
            pass
    # What it began with the last word is let through.
    elif time.monotonic() > played + 0.5:
        break
    try:
        message = os.read(fuse, 1 << 17)
    except BlockingIOError:
        time.sleep(0.002)
        continue
    except InterruptedError:
        continue
    _, operation, request, node = struct.unpack_from("<IIQQ", message)
    serve(operation, request, node, message[40:])
print("silent", player, flush=True)
while True:
    time.sleep(1)
