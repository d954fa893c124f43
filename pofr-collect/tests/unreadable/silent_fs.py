"""A FUSE filesystem of one file, `f`, spoken to through /dev/fuse: silent_fs.py MOUNT [--serve FILE] [--never OP,...] [--second-direct]

It answers everything but the named operations; after SIGUSR1 nothing. It serves 4096 bytes, or what FILE holds. With
--second-direct, whoever opens the file second is told to read past the cache. Ends when it is killed; then the kernel gives up
whatever waits."""
import ctypes, os, signal, struct, sys

OPS = dict(lookup=1, forget=2, getattr=3, unlink=10, open=14, read=15, statfs=17, release=18, flush=25, init=26,
           opendir=27, readdir=28, releasedir=29, access=34, interrupt=36, poll=40, batch_forget=42)
args = sys.argv[1:]
option = lambda name: args[args.index(name) + 1] if name in args else None
never = {OPS[name] for name in (option('--never') or '').split(',') if name}
served = open(option('--serve'), 'rb').read() if option('--serve') else b'x' * 4096
fd = os.open('/dev/fuse', os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
how = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
if libc.mount(b'silent', args[0].encode(), b'fuse.silent', 0, how):
    sys.exit(f'mount: {os.strerror(ctypes.get_errno())}')
silent = False


def be_silent(*_):
    global silent
    silent = True


signal.signal(signal.SIGUSR1, be_silent)
print('mounted', flush=True)
opened, removed = 0, False


def attributes(node):
    mode, links, size = (0o40755, 2, 0) if node == 1 else (0o100755, 1, len(served))
    return struct.pack('<QQQQQQIIIIIIIIII', node, size, 8, 1, 1, 1, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)


def answer(unique, data=b'', error=0):
    try:
        os.write(fd, struct.pack('<IiQ', 16 + len(data), -error, unique) + data)
    except OSError:
        pass


while True:
    try:
        request = os.read(fd, 1 << 20)
    except InterruptedError:
        continue
    except OSError:
        break
    _, op, unique, node = struct.unpack_from('<IIQQ', request)
    body = request[40:]
    if op == OPS['init']:
        answer(unique, struct.pack('<IIIIHHIIHHI', 7, 31, 65536, 0, 12, 9, 65536, 1, 16, 0, 0) + b'\0' * 28)
    elif op in (OPS['forget'], OPS['batch_forget'], OPS['interrupt']):
        pass
    elif silent or op in never:
        print('silent', op, flush=True)
    elif op == OPS['lookup']:
        if body.rstrip(b'\0') == b'f' and not removed:
            answer(unique, struct.pack('<QQQQII', 2, 0, 0, 0, 0, 0) + attributes(2))
        else:
            answer(unique, error=2)
    elif op == OPS['getattr']:
        answer(unique, struct.pack('<QII', 0, 0, 0) + attributes(node))
    elif op == OPS['open']:
        opened += 1
        answer(unique, struct.pack('<QII', 7, 3 if '--second-direct' in args and opened == 2 else 0, 0))
    elif op == OPS['opendir']:
        answer(unique, struct.pack('<QII', 8, 0, 0))
    elif op == OPS['read']:
        _, offset, size = struct.unpack_from('<QQI', body)
        answer(unique, served[offset:offset + size])
    elif op == OPS['unlink']:
        removed = True
        answer(unique)
    elif op == OPS['statfs']:
        answer(unique, b'\0' * 80)
    elif op in (OPS['readdir'], OPS['release'], OPS['flush'], OPS['releasedir'], OPS['access']):
        answer(unique)
    else:
        answer(unique, error=38)
