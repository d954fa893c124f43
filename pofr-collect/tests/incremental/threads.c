/* A process one of whose threads does what it is told, a word a line, and answers with a line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static int listener(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || bind(s, (void *)&at, length) != 0 || listen(s, 5) != 0)
        return -1;
    getsockname(s, (void *)&at, &length);
    return ntohs(at.sin_port);
}

static void *work(void *unused)
{
    char line[4096];
    printf("%ld\n", syscall(SYS_gettid));
    while (fgets(line, sizeof line, stdin)) {
        long answer = -1;
        char *rest = strchr(line, ' ');
        line[strcspn(line, "\n")] = 0;
        rest = rest ? rest + 1 : line;
        if (!strncmp(line, "open ", 5))
            answer = open(rest, O_CREAT | O_RDWR, 0600);
        else if (!strcmp(line, "listen"))
            answer = listener();
        else if (!strncmp(line, "unshare ", 8))
            answer = unshare(atoi(rest));
        else if (!strncmp(line, "close ", 6))
            answer = close(atoi(rest));
        else if (!strncmp(line, "uid ", 4))
            answer = syscall(SYS_setresuid, atoi(rest), atoi(rest), atoi(rest));
        else if (!strncmp(line, "idle ", 5))
            for (int i = atoi(rest); i > 0; i--) {
                pthread_t thread;
                pthread_attr_t small;
                pthread_attr_init(&small);
                pthread_attr_setstacksize(&small, 16384);
                answer = pthread_create(&thread, &small, idle, NULL);
            }
        else if (!strcmp(line, "leave")) {
            printf("0\n");
            syscall(SYS_exit, 0);
        } else if (!strncmp(line, "end ", 4))
            exit(atoi(rest));
        printf("%ld\n", answer);
    }
    return unused;
}

int main(int count, char **arguments)
{
    pthread_t thread;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pthread_create(&thread, NULL, work, NULL) != 0)
        return 1;
    if (count > 1 && !strcmp(arguments[1], "leader-leaves"))
        pthread_exit(NULL);
    idle(NULL);
}
