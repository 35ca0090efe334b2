/* SPDX-License-Identifier: Apache-2.0 */
/* A program of a VM that uses the installed library: sends each argument after the first as a request, prints answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <vgpu_job.h>

int main(int count, char **arguments)
{
	struct vgpu_job_connection *connection = count > 1 ? vgpu_job_connect(arguments[1]) : NULL;
	int code = EXIT_SUCCESS;

	if (!connection) {
		perror("vgpu_job_connect");
		return EXIT_FAILURE;
	}
	for (int i = 2; i < count; i++) {
		char *answer = NULL;

		if (vgpu_job_call(connection, arguments[i], &answer) < 0) {
			perror("vgpu_job_call");
			code = EXIT_FAILURE;
			break;
		}
		printf("%s\n", answer);
		free(answer);
	}
	vgpu_job_close(connection);
	return code;
}
