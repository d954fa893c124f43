/* Says that its arguments are a mapping of so many bytes: PR_SET_MM_MAP lets any process do that, and
 * /proc/PID/cmdline has had no limit since Linux 4.2. The ends of the mapping are written, what lies between is empty. */
#include "common.h"
#include <linux/prctl.h>

int main(int count, char **words) {
    if (count != 2) return 2;
    alarm(60);
    size_t size = strtoul(words[1], NULL, 10);
    char *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (text == MAP_FAILED) die("mmap");
    size_t part = size < 65536 ? size : 65536;
    memset(text, 'a', part);
    memset(text + size - part, 'z', part);
    text[size - 1] = 0;
    char stat[2000];
    int file = open("/proc/self/stat", O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, stat, sizeof stat - 1);
    if (length < 0) die("stat");
    stat[length] = 0;
    unsigned long field[60] = {0};
    int n = 3;
    for (char *word = strtok(strrchr(stat, ')') + 2, " "); word && n < 60; word = strtok(NULL, " ")) field[n++] = strtoul(word, NULL, 10);
    struct prctl_mm_map map = {
        .start_code = field[26], .end_code = field[27], .start_stack = field[28], .start_data = field[45],
        .end_data = field[46], .start_brk = field[47], .brk = (unsigned long)sbrk(0),
        .arg_start = (unsigned long)text, .arg_end = (unsigned long)text + size,
        .env_start = field[50], .env_end = field[51], .exe_fd = -1,
    };
    if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0)) die("PR_SET_MM_MAP");
    ready("set");
    wait_for_the_end();
}
