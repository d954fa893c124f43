/* Starts programs: execs EACH-SECOND SECONDS BYTES. Each runs /bin/true with arguments of so many bytes in all, in words of at most
 * 100,000. EACH-SECOND 0: as many as it can, by a tree of forks. */
#include "common.h"

static char **arguments(size_t bytes) {
    size_t part = 100000, n = bytes / part + 2;
    char **words = calloc(n + 2, sizeof *words);
    words[0] = "true";
    for (size_t i = 1, left = bytes; left; i++) {
        size_t take = left < part ? left : part;
        words[i] = malloc(take + 1);
        memset(words[i], 'x', take);
        words[i][take] = 0;
        left -= take;
    }
    return words;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    alarm(60);
    long each_second = atol(words[1]);
    double begin = now(), seconds = atof(words[2]);
    char **list = arguments(strtoul(words[3], NULL, 10));
    signal(SIGCHLD, SIG_IGN); /* nobody waits, nobody stays */
    ready("starting");
    unsigned long made = 0;
    while (now() < begin + seconds) {
        pid_t child = fork();
        if (child == 0) {
            if (!each_second) {
                for (int i = 0; i < 4; i++) fork();
                _exit(0);
            }
            /* Filled with what is random, so that it does not compress away. */
            int noise = open("/dev/urandom", O_RDONLY);
            for (char **word = list + 1; *word; word++) {
                size_t size = strlen(*word);
                if (read(noise, *word, size) < 0) _exit(1);
                for (size_t i = 0; i < size; i++) (*word)[i] = 33 + (unsigned char)(*word)[i] % 90;
            }
            close(noise);
            execv("/bin/true", list);
            _exit(1);
        }
        made += child > 0;
        if (each_second) {
            double due = begin + (double)made / each_second;
            while (now() < due) rest(500);
        }
    }
    char said[40];
    snprintf(said, sizeof said, "made %lu.", made);
    ready(said);
    wait_for_the_end();
}
