/* Has children that have ended and of whose ends it does not want to know: zombies COUNT. */
#include "common.h"

int main(int count, char **words) {
    if (count != 2) return 2;
    alarm(60);
    int made = 0;
    for (int i = 0; i < atoi(words[1]); i++) {
        pid_t child = fork();
        if (child == 0) _exit(7);
        made += child > 0;
        if (i % 50 == 0) rest(5000);
    }
    rest(200000);
    char said[40];
    snprintf(said, sizeof said, "%d zombies", made);
    ready(said);
    wait_for_the_end();
}
