/*
 * The least any plugin can cost: start, copy standard input to standard output, exit.
 * What a plugin's ADD takes beyond this is its own doing.
 *
 * Build: cc -O2 -Wall -Wextra -Werror -static -o copy copy.c
 */
#include <errno.h>
#include <unistd.h>

/* A whole network configuration in one read: a pipe holds 64 KiB. */
static char buffer[64 * 1024];

static int write_all(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, length);
		if (written < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		bytes += written;
		length -= (size_t)written;
	}
	return 0;
}

int main(void)
{
	for (;;) {
		ssize_t length = read(STDIN_FILENO, buffer, sizeof(buffer));
		if (length == 0)
			return 0;
		if (length < 0) {
			if (errno == EINTR)
				continue;
			return 1;
		}
		if (write_all(buffer, (size_t)length) != 0)
			return 1;
	}
}
