/* A process whose first thread exits before its second; with arguments, the second runs them as a program meanwhile. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static char **program;

static void *other(void *unused)
{
    if (*program)
        execv(*program, program);
    usleep(50000);
    exit(7);
    return unused;
}

int main(int count, char **arguments)
{
    pthread_t thread;
    program = arguments + 1;
    if (pthread_create(&thread, NULL, other, NULL) != 0)
        return 1;
    if (count > 1)
        pause();
    pthread_exit(NULL);
}
