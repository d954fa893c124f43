#!/usr/bin/env python3
"""A network namespace of an ordinary user: busy_network.py HELD NEW: holds so many connections there, and makes NEW short ones a
second; with 0, ten a second to the listener at 45888, and says how many. Without any right but a user namespace of its own."""
import ctypes, fcntl, os, signal, socket, struct, sys, time

signal.alarm(60)
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
if libc.unshare(0x10000000 | 0x40000000) != 0:  # CLONE_NEWUSER, CLONE_NEWNET
    sys.exit(os.strerror(ctypes.get_errno()))
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
held, each_second = int(sys.argv[1]), int(sys.argv[2])
port = 45889 if each_second else 45888
listener = socket.create_server(("127.0.0.1", port), backlog=256)

def connect():
    one = socket.create_connection(("127.0.0.1", port))
    return one, listener.accept()[0]

kept = [connect() for _ in range(held)]
print("busy", flush=True)
made = 0
while True:
    one, other = connect()
    other.close()
    one.close()
    made += 1
    if not each_second:
        print("made", made, flush=True)
    time.sleep(1 / (each_second or 10))
