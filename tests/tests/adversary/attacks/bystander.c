/* Somebody who works as always: starts a short program five times a second, keeps a file and a listener open, and gives itself
 * another name now and then. Says on standard output what it did, so that the record can be held against it. Ends at SIGTERM. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static volatile sig_atomic_t over;
static void end(int signal) { (void)signal; over = 1; }

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "pofr-bystander")) { /* the short program */
        rest(100000);
        return 0;
    }
    if (count != 2) return 2;
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    alarm(120);
    char path[4096];
    snprintf(path, sizeof path, "%s/held-by-bystander", words[1]);
    if (open(path, O_CREAT | O_RDWR, 0600) < 0) die(path);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 5)) die("listen");
    getsockname(listener, (void *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (int n = 0; !over; n++) {
        char number[20], name[16];
        snprintf(number, sizeof number, "%d", n);
        if (n % 8 == 0) {
            snprintf(name, sizeof name, "by-%d", n);
            prctl(PR_SET_NAME, name, 0, 0, 0);
        }
        pid_t child = fork();
        if (child < 0) { /* the user who attacks takes what there is */
            rest(100000);
            continue;
        }
        if (child == 0) {
            execl("/proc/self/exe", "brief", "pofr-bystander", number, NULL);
            _exit(2);
        }
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        if (status == 0) printf("ran %d %d\n", n, child), fflush(stdout);
        rest(100000);
    }
    return 0;
}
