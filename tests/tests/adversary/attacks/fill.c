/* Takes all that is left in a filesystem, and what becomes free, for so many seconds: fill FILE SECONDS. */
#include "common.h"

int main(int count, char **words) {
    if (count != 3) return 2;
    alarm(60);
    static char block[65536];
    memset(block, 0x5a, sizeof block);
    int file = open(words[1], O_CREAT | O_WRONLY | O_APPEND, 0600);
    if (file < 0) die(words[1]);
    double until = now() + atof(words[2]);
    for (int full = 0; now() < until;) {
        size_t size = sizeof block;
        while (size && write(file, block, size) < 0) size /= 2;
        if (!size) {
            if (!full++) ready("full");
            rest(2000);
        }
    }
    unlink(words[1]);
    close(file);
    wait_for_the_end();
}
