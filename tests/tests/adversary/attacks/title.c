/* title keep WORD…: stays, with these arguments. title over: writes another title over its arguments, and past their end into the
 * environment, as setproctitle(3) does. */
#include "common.h"

int main(int count, char **words) {
    if (count < 2) return 2;
    alarm(60);
    if (!strcmp(words[1], "over")) {
        char *end = words[count - 1] + strlen(words[count - 1]);
        extern char **environ;
        for (char **word = environ; *word; word++) {
            if (*word == end + 1) end = *word + strlen(*word);
        }
        size_t size = end - words[0];
        memset(words[0], 0, size + 1);
        snprintf(words[0], size, "[kworker/0:1]");
        /* Not ended where the kernel looks for the end: it goes on into the environment. */
        memset(words[0] + 13, ' ', size - 13);
    }
    ready("titled");
    wait_for_the_end();
}
