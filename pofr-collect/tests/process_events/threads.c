/* A process whose first thread exits before its second. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *other(void *unused)
{
    usleep(50000);
    exit(7);
    return unused;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, other, NULL) != 0)
        return 1;
    pthread_exit(NULL);
}
