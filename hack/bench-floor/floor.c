/*
 * The least a plugin can cost that sets up one pod: enter the namespace of CNI_NETNS, one generic netlink
 * round trip there, one sysctl written there, standard input copied to standard output. It decides nothing,
 * resolves nothing and records nothing; what smc-cni takes beyond this is the price of doing so.
 *
 * The sysctl is one that every kernel has: net.ipv4.conf.all.log_martians, set to its default 0. The answer
 * to the netlink request is checked, since a request that fails would be cheaper than one that works.
 *
 * Build: cc -O2 -Wall -Wextra -Werror -static -o floor floor.c
 * Run:   CNI_NETNS=/run/netns/x ./floor <config.json    (root; /proc/sys writable)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char SYSCTL[] = "/proc/sys/net/ipv4/conf/all/log_martians";

/* A whole network configuration in one read: a pipe holds 64 KiB. */
static char buffer[64 * 1024];

static int failed(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	return 1;
}

static int enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	int outcome = setns(fd, CLONE_NEWNET);
	close(fd);
	return outcome;
}

/* CTRL_CMD_GETFAMILY for "nlctrl", the family that lists the families: always there. */
static int netlink_round_trip(void)
{
	struct {
		struct nlmsghdr header;
		struct genlmsghdr family_header;
		struct nlattr name_header;
		char name[8]; /* "nlctrl" and its NUL, padded to NLA_ALIGNTO */
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = GENL_ID_CTRL,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = 1,
		},
		.family_header = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
		.name_header = {
			.nla_len = NLA_HDRLEN + sizeof("nlctrl"),
			.nla_type = CTRL_ATTR_FAMILY_NAME,
		},
		.name = "nlctrl",
	};
	union {
		struct nlmsghdr header;
		char bytes[8192];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0)
		return -1;
	int outcome = -1;
	if (send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
		ssize_t length = recv(fd, &answer, sizeof(answer), 0);
		if (length >= (ssize_t)sizeof(answer.header)) {
			outcome = answer.header.nlmsg_type == GENL_ID_CTRL ? 0 : -1;
			errno = EPROTO;
		}
	}
	close(fd);
	return outcome;
}

static int write_sysctl(void)
{
	int fd = open(SYSCTL, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t written = write(fd, "0", 1);
	close(fd);
	return written == 1 ? 0 : -1;
}

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

static int copy(void)
{
	for (;;) {
		ssize_t length = read(STDIN_FILENO, buffer, sizeof(buffer));
		if (length == 0)
			return 0;
		if (length < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (write_all(buffer, (size_t)length) != 0)
			return -1;
	}
}

int main(void)
{
	const char *netns = getenv("CNI_NETNS");

	if (netns == NULL || netns[0] == '\0') {
		errno = EINVAL;
		return failed("CNI_NETNS");
	}
	if (enter(netns) != 0)
		return failed(netns);
	if (netlink_round_trip() != 0)
		return failed("asking nlctrl for nlctrl");
	if (write_sysctl() != 0)
		return failed(SYSCTL);
	if (copy() != 0)
		return failed("copying standard input");
	return 0;
}
