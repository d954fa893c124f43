"""Processes of ordinary users, of one each, that keep whoever reads them waiting: attacker.py KIND FILE

`arguments`  its arguments are a mapping of FILE, which no kernel since 4.18 reads;
`memory`     one thread waits for a page of FILE, another in mmap(2) for that page, with the lock of the process's memory;
`deleted`    has FILE open, which is then removed (by whoever started it);
`exec`       runs a program while FILE, open until then, is being closed;
`huge`       its arguments are FILE bytes of anonymous memory.

It prints `ready` once it is so, or right before."""
import ctypes, mmap, os, sys, threading, time

kind, file = sys.argv[1], sys.argv[2]
os.setgid(65534)
# Who hangs has others of the same user wait as well.
os.setuid(65534 - ['arguments', 'memory', 'deleted', 'exec', 'huge'].index(kind))
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def ready():
    print('ready', flush=True)


def point_arguments_at(start, length):
    """PR_SET_MM_MAP of prctl(2)."""
    libc.prctl(4, 1, 0, 0, 0)
    fields = open('/proc/self/stat').read().rsplit(') ', 1)[1].split()
    of = lambda number: int(fields[number - 3])
    libc.sbrk.restype = ctypes.c_void_p
    values = [of(26), of(27), of(45), of(46), of(47), libc.sbrk(0), of(28), start, start + length, of(50), of(51)]
    layout = (ctypes.c_uint64 * 13)(*values, 0, 0xffffffff << 32)
    if libc.prctl(35, 14, ctypes.byref(layout), ctypes.sizeof(layout), 0):
        sys.exit(f'PR_SET_MM_MAP: {os.strerror(ctypes.get_errno())}')


def mapping(fd, length, flags):
    at = libc.mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
    if at == ctypes.c_void_p(-1).value:
        sys.exit(f'mmap: {os.strerror(ctypes.get_errno())}')
    return at


if kind == 'arguments':
    point_arguments_at(mapping(os.open(file, os.O_RDONLY), 4096, mmap.MAP_PRIVATE), 4096)
elif kind == 'huge':
    length = int(file)
    at = mapping(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memset(at, ord('a'), min(length, 1 << 20))
    point_arguments_at(at, length)
elif kind == 'memory':
    first = os.open(file, os.O_RDONLY)
    threading.Thread(target=lambda: os.pread(first, 1, 0), daemon=True).start()
    time.sleep(.5)
    second = os.open(file, os.O_RDONLY)
    ready()
    mapping(second, 4096, mmap.MAP_PRIVATE)
elif kind == 'deleted':
    kept = os.open(file, os.O_RDONLY)
elif kind == 'exec':
    kept = os.open(file, os.O_RDONLY)
    ready()
    os.execv('/bin/sleep', ['sleep', '1000'])
ready()
while True:
    time.sleep(1)
