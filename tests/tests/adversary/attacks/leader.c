/* A process whose first thread has ended: /proc/PID says Z and has no files, the thread that works has a file and a listener. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

static const char *path;

static void *work(void *nothing) {
    (void)nothing;
    rest(300000); /* the first is gone by now */
    if (open(path, O_CREAT | O_RDWR, 0600) < 0) die(path);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 5)) die("listen");
    getsockname(listener, (void *)&address, &size);
    char said[64];
    snprintf(said, sizeof said, "port %d.", ntohs(address.sin_port));
    ready(said);
    for (;;) rest(200000);
    return NULL;
}

int main(int count, char **words) {
    if (count != 2) return 2;
    alarm(60);
    path = words[1];
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    pthread_exit(NULL);
}
