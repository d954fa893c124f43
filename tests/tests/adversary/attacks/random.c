/* Does at random what an ordinary user may do: random SECONDS SEED DIR [DEVICE]. The same seed makes the same choices; what comes of
 * them is the kernel's. Some workers at a time, each of a few dozen deeds, in a place of its own; a worker that ends or hangs is
 * replaced. */
#include "common.h"
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/un.h>

enum { WORKERS = 6, DEEDS = 40 };

static uint64_t state;

static uint32_t roll(uint32_t below) { /* splitmix64 */
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return below ? (z ^ (z >> 31)) % below : 0;
}

/* A name of random bytes, none of them a slash; at most `most` long. */
static void name(char *to, size_t most) {
    size_t length = 1 + roll(most);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = roll(3) ? 33 + roll(90) : 1 + roll(255);
        to[i] = byte == '/' ? '_' : (char)byte;
    }
    to[length] = 0;
}

static void call_oneself(void) {
    char text[32];
    name(text, 20);
    prctl(PR_SET_NAME, text, 0, 0, 0);
}

static int open_something(void) {
    char path[256];
    name(path, roll(4) ? 20 : 200);
    static const int kinds[] = {O_RDONLY, O_WRONLY, O_RDWR, O_PATH, O_RDWR | O_APPEND, O_RDONLY | O_DIRECTORY};
    int file = open(path, O_CREAT | kinds[roll(6)], 0600);
    if (file < 0) return -1;
    if (!roll(3)) unlink(path);
    if (!roll(4)) {
        char other[256];
        name(other, 100);
        rename(path, other);
    }
    if (!roll(4) && ftruncate(file, (off_t)roll(1u << 30) * 64) < 0) {}
    if (!roll(4) && pwrite(file, "x", 1, roll(1u << 20)) < 0) {}
    if (!roll(6)) link(path, "linked");
    if (!roll(6)) symlink(path, "points");
    return file;
}

static void files(void) {
    int held[16], count = 1 + roll(16);
    for (int i = 0; i < count; i++) held[i] = open_something();
    if (!roll(3)) held[0] = memfd_create("a memfd (deleted)", 0);
    rest(roll(80000));
    for (int i = 0; i < count; i++) if (held[i] >= 0) close(held[i]);
}

static void sockets(void) {
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_KEY, AF_BLUETOOTH, AF_TIPC, AF_XDP};
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
    int made[12];
    for (int i = 0; i < 12; i++) {
        int family = families[roll(3) ? roll(3) : roll(11)];
        made[i] = socket(family, types[roll(3) ? roll(2) : roll(4)], family == AF_NETLINK ? roll(22) : 0);
        if (made[i] < 0) continue;
        union { struct sockaddr any; struct sockaddr_in in; struct sockaddr_in6 in6; struct sockaddr_un un; struct sockaddr_nl nl; } at;
        memset(&at, 0, sizeof at);
        at.any.sa_family = family;
        socklen_t size = sizeof at.in;
        if (family == AF_INET) at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + roll(4));
        if (family == AF_INET6) at.in6.sin6_addr = in6addr_loopback, at.in6.sin6_scope_id = roll(3), size = sizeof at.in6;
        if (family == AF_UNIX) name(at.un.sun_path + roll(2), 90), size = sizeof at.un;
        if (family == AF_NETLINK) at.nl.nl_groups = roll(8), size = sizeof at.nl;
        if (bind(made[i], &at.any, size) == 0 && roll(2)) listen(made[i], roll(5));
        else if (roll(2)) {
            fcntl(made[i], F_SETFL, O_NONBLOCK);
            connect(made[i], &at.any, size);
        }
    }
    rest(roll(60000));
    for (int i = 0; i < 12; i++) if (made[i] >= 0) close(made[i]);
}

/* Sends a descriptor to oneself, and closes it: only the message holds it. Never taken, it holds itself for ever. */
static void pass_descriptors(void) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends)) return;
    for (int i = 0; i < 5; i++) {
        int file = roll(3) ? open_something() : ends[roll(2)];
        if (file < 0) continue;
        char room[CMSG_SPACE(sizeof file)] = {0}, byte = 'x';
        struct iovec part = {&byte, 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof file);
        memcpy(CMSG_DATA(head), &file, sizeof file);
        sendmsg(ends[0], &message, MSG_DONTWAIT);
        if (file != ends[0] && file != ends[1]) close(file);
    }
    rest(roll(40000));
    close(ends[0]), close(ends[1]);
}

static void execute(void) {
    static char *list[64], texts[63][2000];
    int count = roll(63);
    for (int i = 0; i < count; i++) name(texts[i], roll(6) ? 30 : 1990), list[i] = texts[i];
    list[count] = NULL;
    char *bad[] = {NULL};
    static const char *programs[] = {"/bin/true", "/bin/sleep", "/proc/self/exe", "/bin/cat", "/nonexistent"};
    pid_t child = vfork();
    if (child == 0) {
        execve(programs[roll(5)], roll(8) ? list : bad, roll(2) ? list : bad);
        _exit(roll(256));
    }
    if (child > 0 && roll(3)) {
        rest(roll(20000));
        kill(child, SIGKILL);
        if (roll(2)) waitpid(child, NULL, 0);
    }
}

static int idle(void *nothing) {
    (void)nothing;
    call_oneself();
    if (!roll(3)) open_something();
    rest(roll(60000));
    return roll(256);
}

static void make_processes(void) {
    static const int flags[] = {CLONE_FILES, CLONE_FS, CLONE_VM, CLONE_VFORK, CLONE_PARENT, CLONE_IO, CLONE_SYSVSEM, CLONE_NEWUSER,
        CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWCGROUP, CLONE_SIGHAND | CLONE_VM,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, CLONE_UNTRACED};
    for (int i = 0; i < 4; i++) {
        int some = 0;
        for (uint32_t n = roll(4); n; n--) some |= flags[roll(sizeof flags / sizeof *flags)];
        char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack != MAP_FAILED) clone(idle, stack + 65536, some | (roll(4) ? SIGCHLD : 0), NULL);
    }
    if (roll(2)) while (waitpid(-1, NULL, WNOHANG | __WALL) > 0) {}
}

static void *alone(void *nothing) {
    (void)nothing;
    static const int flags[] = {CLONE_FILES, CLONE_FS, CLONE_NEWNET, CLONE_NEWNS, CLONE_FILES | CLONE_FS, CLONE_SYSVSEM};
    if (syscall(SYS_unshare, flags[roll(6)])) {}
    call_oneself();
    open_something();
    if (roll(2)) sockets();
    rest(roll(80000));
    return NULL;
}

static void threads(void) {
    for (int i = 0; i < 6; i++) {
        pthread_t thread;
        if (!pthread_create(&thread, NULL, alone, NULL)) pthread_detach(thread);
    }
    if (!roll(4)) pthread_exit(NULL);
    rest(roll(50000));
}

static void write_to(const char *path, const char *text) {
    int file = open(path, O_WRONLY);
    if (file >= 0 && write(file, text, strlen(text)) < 0) {}
    if (file >= 0) close(file);
}

static const char *device;

/* A filesystem of one's own that answers some requests and then no more. */
static void silent_filesystem(void) {
    int fuse = open(device, O_RDWR);
    if (fuse < 0) return;
    char options[100], where[] = "mounted";
    mkdir(where, 0700);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse);
    if (mount("random", where, "fuse", MS_NOSUID | MS_NODEV, options)) {
        close(fuse);
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        close(fuse);
        if (roll(2) && chdir(where)) {}
        open("mounted/x", O_RDWR | O_CREAT, 0600);
        rest(300000);
        _exit(0);
    }
    for (int answers = roll(6); answers; answers--) {
        char message[65536];
        struct pollfd poll_for = {fuse, POLLIN, 0};
        if (poll(&poll_for, 1, 100) <= 0 || read(fuse, message, sizeof message) < 0) break;
        uint64_t request;
        memcpy(&request, message + 8, 8);
        uint32_t reply[30] = {roll(4) ? 80 : roll(120), roll(2) ? 0 : -roll(130), request, request >> 32, 7, 31, 65536};
        if (write(fuse, reply, reply[0] < sizeof reply ? reply[0] : sizeof reply) < 0) {}
    }
    rest(roll(300000));
    close(fuse);
}

static void namespaces(void) {
    pid_t child = fork();
    if (child) {
        rest(roll(30000));
        return;
    }
    alarm(5);
    char line[60];
    snprintf(line, sizeof line, "0 %d 1", getuid());
    static const int flags[] = {CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWCGROUP};
    int some = CLONE_NEWUSER;
    for (uint32_t n = roll(5); n; n--) some |= flags[roll(7)];
    if (unshare(some)) _exit(1);
    write_to("/proc/self/setgroups", "deny");
    write_to("/proc/self/uid_map", line);
    write_to("/proc/self/gid_map", line);
    if (some & CLONE_NEWNS) {
        static const char *kinds[] = {"tmpfs", "proc", "sysfs", "mqueue", "devpts", "overlay"};
        mkdir("here", 0700);
        mount("x", "here", kinds[roll(6)], 0, NULL);
        mount("/proc", "here", NULL, MS_BIND | MS_REC, NULL);
        if (device && roll(2)) silent_filesystem();
    }
    if (some & CLONE_NEWUTS) {
        char host[65];
        name(host, 60);
        if (sethostname(host, strlen(host))) {}
    }
    if (roll(2)) sockets();
    if (roll(2)) make_processes();
    if (roll(2)) setresuid(0, 0, 0);
    rest(roll(200000));
    _exit(0);
}

static void limits(void) {
    struct rlimit limit = {roll(200), roll(4096)};
    setrlimit(roll(16), &limit);
    setpriority(PRIO_PROCESS, 0, roll(20));
    prctl(PR_SET_DUMPABLE, roll(2), 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, roll(65), 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, roll(2), 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, roll(100000), 0, 0, 0);
    for (int i = 0; i < 5; i++) prctl(roll(75), roll(4), roll(4), 0, 0);
    setsid();
    setpgid(0, 0);
    umask(roll(512));
}

/* The arguments become a mapping of any size, in memory or of a sparse file. */
static void move_arguments(void) {
    char stat[2000];
    int file = open("/proc/self/stat", O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, stat, sizeof stat - 1);
    if (file >= 0) close(file);
    if (length <= 0) return;
    stat[length] = 0;
    unsigned long field[60] = {0};
    int n = 3;
    for (char *word = strtok(strrchr(stat, ')') + 2, " "); word && n < 60; word = strtok(NULL, " ")) field[n++] = strtoul(word, NULL, 10);
    size_t size = 4096ul << roll(17);
    int backing = roll(2) ? -1 : open("sparse", O_RDWR | O_CREAT, 0600);
    if (backing >= 0 && ftruncate(backing, roll(2) ? (off_t)size : 4096)) {}
    char *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | (backing < 0 ? MAP_ANONYMOUS : 0), backing, 0);
    if (text == MAP_FAILED) return;
    if (backing < 0) memset(text, 'r', 4096);
    struct prctl_mm_map map = {
        .start_code = field[26], .end_code = field[27], .start_stack = field[28], .start_data = field[45],
        .end_data = field[46], .start_brk = field[47], .brk = (unsigned long)sbrk(0),
        .arg_start = (unsigned long)text, .arg_end = (unsigned long)text + size - roll(4096),
        .env_start = field[50], .env_end = field[51], .exe_fd = -1,
    };
    prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
    rest(roll(100000));
    if (roll(2)) munmap(text, size);
    if (backing >= 0 && ftruncate(backing, 0)) {}
}

static void rename_often(void) {
    for (int i = roll(3000); i; i--) call_oneself();
}

static void (*const deeds[])(void) = {files, sockets, pass_descriptors, execute, execute, make_processes, threads, namespaces, limits,
    move_arguments, rename_often, call_oneself};

static void work(uint64_t seed) {
    state = seed;
    alarm(10);
    signal(SIGPIPE, SIG_IGN);
    int nowhere = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(nowhere, i);
    close(nowhere);
    struct rlimit memory = {1ul << 33, 1ul << 33}, size = {1ul << 26, 1ul << 26};
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_FSIZE, &size);
    char place[32];
    snprintf(place, sizeof place, "w-%llx", (unsigned long long)seed);
    if (mkdir(place, 0700) || chdir(place)) _exit(3);
    for (int i = 0; i < DEEDS; i++) deeds[roll(sizeof deeds / sizeof *deeds)]();
    _exit(0);
}

int main(int count, char **words) {
    if (count < 4 || chdir(words[3])) return 2;
    device = count > 4 ? words[4] : NULL;
    double seconds = atof(words[1]), until = now() + seconds;
    state = strtoull(words[2], NULL, 10);
    alarm((unsigned)seconds + 60);
    struct rlimit processes = {2000, 2000};
    setrlimit(RLIMIT_NPROC, &processes);
    ready("at it");
    pid_t workers[WORKERS] = {0};
    unsigned long made = 0;
    while (now() < until) {
        for (int i = 0; i < WORKERS; i++) {
            uint64_t seed = state + (uint64_t)++made * 0x2545f4914f6cdd1du;
            if (workers[i] > 0 && waitpid(workers[i], NULL, WNOHANG) == 0) continue;
            workers[i] = fork();
            if (workers[i] == 0) work(seed);
        }
        rest(50000);
    }
    char said[60];
    snprintf(said, sizeof said, "%lu workers.", made);
    ready(said);
    wait_for_the_end();
}
