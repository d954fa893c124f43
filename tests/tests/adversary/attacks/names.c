/* Makes files of random names in a directory, renames and removes them, as fast as it can: names DIR SECONDS. */
#include "common.h"

int main(int count, char **words) {
    if (count != 3) return 2;
    alarm(60);
    if (chdir(words[1])) die(words[1]);
    double until = now() + atof(words[2]);
    ready("naming");
    unsigned long seed = 1;
    while (now() < until) {
        char name[256], other[256];
        size_t length = 1 + seed % 250;
        for (size_t i = 0; i < length; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            unsigned char byte = seed >> 33;
            name[i] = byte == 0 || byte == '/' ? '_' : (char)byte;
        }
        name[length] = 0;
        snprintf(other, sizeof other, "moved-%lu", seed);
        int file = open(name, O_CREAT | O_WRONLY, 0600);
        if (file < 0) continue;
        if (write(file, "x", 1) < 0) die("write");
        close(file);
        rename(name, other);
        unlink(other);
    }
    wait_for_the_end();
}
