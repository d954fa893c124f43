/* Threads that are no part of their process's whole: one with a descriptor table of its own, one with another user id, one in
 * another network namespace. Started as root, so that the saved user id can be another; has no power from its first line on. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

static const char *path;

static void *with_table(void *nothing) {
    (void)nothing;
    if (syscall(SYS_unshare, CLONE_FILES)) die("unshare files");
    if (open(path, O_CREAT | O_RDWR, 0600) < 0) die(path);
    printf("table %ld\n", syscall(SYS_gettid));
    wait_for_the_end();
    return NULL;
}

static void *with_ids(void *nothing) {
    (void)nothing;
    if (syscall(SYS_setresuid, -1, 65532, -1)) die("setresuid");
    printf("ids %ld\n", syscall(SYS_gettid));
    wait_for_the_end();
    return NULL;
}

static void *with_net(void *nothing) {
    (void)nothing;
    if (syscall(SYS_unshare, CLONE_NEWNET)) die("unshare net");
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(45999)};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 5)) die("listen");
    printf("net %ld\n", syscall(SYS_gettid));
    wait_for_the_end();
    return NULL;
}

int main(int count, char **words) {
    if (count != 2) return 2;
    alarm(60);
    path = words[1];
    setbuf(stdout, NULL);
    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65532)) die("become nobody");
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    pid_t child = fork();
    if (child == 0) { /* a network of one's own takes a user namespace, in which no other id is mapped */
        if (unshare(CLONE_NEWUSER)) die("unshare user");
        pthread_t thread;
        pthread_create(&thread, NULL, with_net, NULL);
        wait_for_the_end();
    }
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, with_table, NULL);
    pthread_create(&threads[1], NULL, with_ids, NULL);
    rest(500000);
    printf("child %d\nall there\n", child);
    wait_for_the_end();
}
