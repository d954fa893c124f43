/* Floods the recorder, as an ordinary user can: the first argument says how. Ends when its parent does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void exec_big(void)
{
	static char text[100 << 10];
	memset(text, 'x', sizeof text - 1);
	char *arguments[] = { "true", text, NULL };
	char *environment[] = { NULL };
	for (;;) {
		pid_t child = vfork();
		if (child == 0) {
			execve("/bin/true", arguments, environment);
			_exit(1);
		}
		waitpid(child, NULL, 0);
	}
}

static void fork_storm(void)
{
	for (;;) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

static void rename_storm(void)
{
	char name[16];
	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof name, "n%u", i);
		prctl(PR_SET_NAME, name);
	}
}

static void many_files(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int file = open("/dev/null", O_RDONLY);
	while (dup(file) >= 0)
		;
	/* Others that have as many. */
	for (int i = 0; i < 20; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
		}
	pause();
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "exec"))
		exec_big();
	if (!strcmp(argv[1], "fork"))
		fork_storm();
	if (!strcmp(argv[1], "rename"))
		rename_storm();
	if (!strcmp(argv[1], "files"))
		many_files();
	return 2;
}
