/* Gives itself another name as fast as it can, for so many seconds; with a size, carries arguments of so many bytes the while. */
#include "common.h"

int main(int count, char **words) {
    if (count < 2) return 2;
    alarm(60);
    if (count == 3) { /* once more, with arguments that are of that size in all */
        size_t size = strtoul(words[2], NULL, 10), part = 100000, n = size / part;
        char **long_words = calloc(n + 4, sizeof *long_words), *text = malloc(part + 1);
        memset(text, 'w', part);
        text[part] = 0;
        long_words[0] = words[0], long_words[1] = words[1], long_words[2] = "and", long_words[3] = "so on";
        for (size_t i = 0; i + 1 < n; i++) long_words[3 + i] = text;
        execv("/proc/self/exe", long_words);
        die("execv");
    }
    double until = now() + atof(words[1]);
    ready("renaming");
    for (unsigned long n = 0; now() < until; n++) {
        char name[16];
        snprintf(name, sizeof name, "n%lu", n);
        prctl(PR_SET_NAME, name, 0, 0, 0);
    }
    wait_for_the_end();
}
