/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-run: a job from the command line of a VM. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgpu_job.h"

static const char usage[] =
	"usage: vgpu-run [--to WHERE] vector_add|dot A,B,... C,D,...\n"
	"       vgpu-run [--to WHERE] saxpy SCALAR A,B,... C,D,...\n"
	"       vgpu-run [--to WHERE] reduce A,B,... [sum|min|max]\n"
	"       vgpu-run [--to WHERE] json REQUEST\n"
	"\n"
	"Has the host's GPU compute and prints the answer. WHERE: a device, unix:PATH,\n"
	"vsock:CID:PORT, HOST:PORT or xenstore; without it VGPU_JOBS, else the virtio-serial port\n" VGPU_JOB_PORT ".\n"
	"Exit codes: 0 done, 1 no answer or one with an error, 2 wrong usage.\n";

/* The host checks what is in the lists. NULL: no such operation with so many arguments. */
static char *request_make(int count, char **words)
{
	char *request = NULL;
	int made = -1;

	if (count == 3 && (strcmp(words[0], "vector_add") == 0 || strcmp(words[0], "dot") == 0))
		made = asprintf(&request, "{\"operation\":\"%s\",\"array_a\":[%s],\"array_b\":[%s]}", words[0],
				words[1], words[2]);
	else if (count == 4 && strcmp(words[0], "saxpy") == 0)
		made = asprintf(&request, "{\"operation\":\"saxpy\",\"scalar\":%s,\"array_a\":[%s],\"array_b\":[%s]}",
				words[1], words[2], words[3]);
	else if ((count == 2 || count == 3) && strcmp(words[0], "reduce") == 0)
		made = asprintf(&request, "{\"operation\":\"reduce\",\"array_a\":[%s],\"reduction\":\"%s\"}", words[1],
				count == 3 ? words[2] : "sum");
	else if (count == 2 && strcmp(words[0], "json") == 0)
		made = asprintf(&request, "%s", words[1]);
	return made < 0 ? NULL : request;
}

int main(int count, char **arguments)
{
	const char *where = NULL;
	struct vgpu_job_connection *connection;
	char *request, *answer = NULL;
	int first = 1;
	int status = 1;

	signal(SIGPIPE, SIG_IGN);
	if (count == 2 && (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "--version") == 0)) {
		fputs(strcmp(arguments[1], "--help") == 0 ? usage : "vgpu-run " VGPU_VERSION "\n", stdout);
		return 0;
	}
	if (count > 2 && strcmp(arguments[1], "--to") == 0) {
		where = arguments[2];
		first = 3;
	}
	request = first < count ? request_make(count - first, arguments + first) : NULL;
	if (!request) {
		fputs(usage, stderr);
		return 2;
	}
	if (!where)
		where = getenv("VGPU_JOBS");
	if (!where)
		where = VGPU_JOB_PORT;
	connection = vgpu_job_connect(where);
	if (!connection || vgpu_job_call(connection, request, &answer) < 0) {
		fprintf(stderr, "vgpu-run: %s: no answer from the host: %s\n", where, strerror(errno));
	} else {
		puts(answer);
		status = strstr(answer, "\"error\":") ? 1 : 0;
	}
	free(answer);
	free(request);
	vgpu_job_close(connection);
	return status;
}
