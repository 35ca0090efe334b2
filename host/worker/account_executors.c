/* SPDX-License-Identifier: Apache-2.0 */
/* Executors, as the main process starts them for connections' processes that ask it. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control_socket.h"
#include "executors.h"
#include "log.h"
#include "question.h"

#define ANSWER_MS	  5000
#define HOST_DIGEST_BYTES 16
#define REMOVER		  "/bin/rm"

/* Of its questions. */
enum executor_file { EXECUTOR_CONTROL, EXECUTOR_LOG, EXECUTOR_FILES };

struct executor_answer {
	int32_t executor; /* 0: there is none */
	int32_t error;
};

static bool is_taken(const void *owner, uid_t user)
{
	const struct accounts *accounts = owner;
	const struct account *account;

	LIST_FOREACH(account, &accounts->accounts, link)
	{
		if (account->user == user)
			return true;
	}
	return false;
}

/* As the host of the tenant says it, for its folders here. False: it has no name. */
static bool folder_name(const struct account_key *key, char name[COMPUTE_CACHE_NAME_BYTES])
{
	char prefix[sizeof(COMPUTE_CACHE_HOST_PREFIX) + 2 * (size_t)HOST_DIGEST_BYTES + 1] = COMPUTE_CACHE_HOST_PREFIX;
	size_t used = strlen(prefix);
	uint8_t host[sizeof(key->certificate) + sizeof(key->host)];
	uint8_t digest[EVP_MAX_MD_SIZE];

	memcpy(host, key->certificate, sizeof(key->certificate));
	memcpy(host + sizeof(key->certificate), key->host, sizeof(key->host));
	if (EVP_Digest(host, sizeof(host), digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	for (size_t i = 0; i < HOST_DIGEST_BYTES; i++)
		used += (size_t)snprintf(prefix + used, sizeof(prefix) - used, "%02x", digest[i]);
	snprintf(prefix + used, sizeof(prefix) - used, "-");
	return compute_cache_name_make(prefix, key->tenant, name);
}

/* The user of the tenant's executors, its own from the first one on. 0, or -1 with errno. */
static int identity_find(struct accounts *accounts, struct account *account, const char *folder,
			 struct process_identity *ret_identity)
{
	struct executors *executors = accounts->executors;

	*ret_identity = executors->identity;
	if (!ret_identity->change || !executors->users.first)
		return 0;
	if (!account->user)
		account->user = user_range_find(&executors->users, &executors->cache, folder, is_taken, accounts);
	if (!account->user) {
		log_warning("%s: no user is left for its executors: --executor-users-count", account->label);
		errno = EAGAIN;
		return -1;
	}
	ret_identity->user = account->user;
	return 0;
}

/* Ours, and what is given. NULL: no memory. */
static const char **environment_make(const struct compute_cache_variables *cache)
{
	size_t count = 0, used = 0;
	const char **environment;

	while (environ[count])
		count++;
	environment = calloc(count + 3, sizeof(*environment));
	if (!environment)
		return NULL;
	if (cache) {
		environment[used++] = cache->path;
		environment[used++] = cache->bytes;
	}
	for (size_t i = 0; i < count; i++) {
		if (!cache || (strncmp(environ[i], "CUDA_CACHE_PATH=", 16) != 0 &&
			       strncmp(environ[i], "CUDA_CACHE_MAXSIZE=", 19) != 0))
			environment[used++] = environ[i];
	}
	return environment;
}

/* To the tenant's control group (executor_group.h); -1: it has none. */
static int entrance(const struct executors *executors, struct account *account, const char *name)
{
	if (!account->group.groups) {
		executor_group_init(&account->group, executors->groups, name, account->label);
		executor_group_limits_set(&account->group, &executors->host);
	}
	return executor_group_entrance(&account->group);
}

/* Its number, or -1 with errno. */
static pid_t executor_start(struct accounts *accounts, struct connection *connection, bool is_lasting,
			    const int files[EXECUTOR_FILES])
{
	struct executors *executors = accounts->executors;
	char *program = strdup(executors->program);
	char *arguments[] = {program, NULL};
	struct process_identity identity;
	char name[COMPUTE_CACHE_NAME_BYTES];
	struct compute_cache_variables cache;
	struct account *account = connection->account;
	bool has_name = folder_name(&account->key, name);
	bool has_cache = has_name && is_lasting;
	const char **environment = NULL;
	pid_t executor = -1;
	int error;

	identity.control_group = -1;
	if (program && identity_find(accounts, account, has_cache ? name : NULL, &identity) == 0) {
		has_cache = has_cache && compute_cache_prepare(&executors->cache, name, &identity, &cache);
		environment = environment_make(has_cache ? &cache : NULL);
		identity.control_group = has_name ? entrance(executors, account, name) : -1;
	}
	if (environment)
		executor = child_process_start(&(struct child_plan){
			.path = program,
			.arguments = arguments,
			.environment = environment,
			.output = files[EXECUTOR_LOG],
			.error = files[EXECUTOR_LOG],
			.control = files[EXECUTOR_CONTROL],
			.identity = &identity,
		});
	error = errno;
	if (identity.control_group >= 0)
		close(identity.control_group);
	free(environment);
	free(program);
	errno = error;
	return executor;
}

bool executor_give(struct accounts *accounts, struct connection *connection, const struct question *question,
		   const int files[QUESTION_FILES_MAX])
{
	struct executor_answer answer = {0};
	pid_t executor;

	if (!connection->account || connection->has_begun || files[EXECUTOR_FILES - 1] < 0)
		return false;
	connection->has_begun = true;
	executor = executor_start(accounts, connection, question->is_lasting, files);
	if (executor > 0)
		connection->executor = answer.executor = executor;
	else
		answer.error = errno;
	/* A process that does not get it ends, and so does its executor. */
	(void)control_packet_send(connection->socket, &answer, sizeof(answer), NULL, 0);
	return true;
}

pid_t account_executor_ask(int socket, bool is_lasting, int control, int log)
{
	const struct question question = {.kind = QUESTION_EXECUTOR, .is_lasting = is_lasting};
	const int files[EXECUTOR_FILES] = {[EXECUTOR_CONTROL] = control, [EXECUTOR_LOG] = log};
	struct pollfd wait = {.fd = socket, .events = POLLIN};
	struct executor_answer answer = {0};
	ssize_t got;

	if (control_packet_send(socket, &question, sizeof(question), files, EXECUTOR_FILES) < 0)
		return -1;
	errno = ETIMEDOUT;
	if (poll(&wait, 1, ANSWER_MS) <= 0)
		return -1;
	got = recv(socket, &answer, sizeof(answer), 0);
	if (got == (ssize_t)sizeof(answer) && answer.executor > 0)
		return answer.executor;
	errno = got == (ssize_t)sizeof(answer) ? answer.error : EUSERS;
	return -1;
}

int executors_cache_remove(struct compute_cache *cache, const char *path)
{
	static const struct process_identity same = {.change = false, .control_group = -1};
	static const char *const environment[] = {NULL};
	char program[] = REMOVER;
	char options[] = "-rf";
	char end[] = "--";
	char *folder = strdup(path);
	char *arguments[] = {program, options, end, folder, NULL};
	int null = folder ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	pid_t remover = -1;

	(void)cache;
	/* It does not follow links, however deep and many. What it could not remove it says in our log. */
	if (null >= 0) {
		remover = child_process_start(&(struct child_plan){.path = program,
								   .arguments = arguments,
								   .environment = environment,
								   .output = null,
								   .error = STDERR_FILENO,
								   .control = -1,
								   .identity = &same});
		close(null);
	}
	free(folder);
	return remover < 0 ? -1 : 0;
}
