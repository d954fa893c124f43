/* Many processes with large descriptor tables: crowd together PROCESSES DESCRIPTORS shares one between all of them, crowd apart … gives
 * each its own. */
#include "common.h"

static int work(void *nothing) {
    (void)nothing;
    for (;;) rest(150000);
    return 0;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    alarm(60);
    int together = !strcmp(words[1], "together"), processes = atoi(words[2]), descriptors = atoi(words[3]);
    int first = open("/dev/null", O_RDONLY), held = 1;
    while (held < descriptors && dup(first) >= 0) held++;
    int made = 0;
    for (; made < processes; made++) {
        char *stack = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED || clone(work, stack + 16384, (together ? CLONE_FILES : 0) | CLONE_VM | SIGCHLD, NULL) < 0) break;
    }
    char said[80];
    snprintf(said, sizeof said, "%d processes hold %d descriptors", made, held);
    ready(said);
    wait_for_the_end();
}
