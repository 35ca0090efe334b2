/* SPDX-License-Identifier: Apache-2.0 */
#include "socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define GROUP_DEFAULT "vgpu"
#define BACKLOG	      128

void socket_file_init(struct socket_file *file, const char *path, mode_t mode, const char *group, bool is_foreign)
{
	*file = (struct socket_file){
		.type = SOCK_SEQPACKET,
		.mode = mode,
		.is_foreign = is_foreign,
		.directory = -1,
		.lock = -1,
		.socket = -1,
	};
	snprintf(file->path, sizeof(file->path), "%s", path);
	snprintf(file->group, sizeof(file->group), "%s", group ? group : "");
}

static const char *name_of(const struct socket_file *file)
{
	const char *slash = strrchr(file->path, '/');

	return slash ? slash + 1 : file->path;
}

static void directory_path(const struct socket_file *file, char *path)
{
	char copy[SOCKET_FILE_PATH_BYTES];

	memcpy(copy, file->path, sizeof(copy));
	snprintf(path, SOCKET_FILE_PATH_BYTES, "%s", dirname(copy));
}

/*
 * In a foreign directory the path could be exchanged for a link between a check and its use, so
 * everything goes through the directory's descriptor.  Elsewhere the socket keeps its own name, which
 * ss and netstat show.
 */
static int address_make(const struct socket_file *file, struct sockaddr_un *address)
{
	int length;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (file->is_foreign)
		length = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", file->directory,
				  name_of(file));
	else
		length = snprintf(address->sun_path, sizeof(address->sun_path), "%s", file->path);
	if (length < 0 || (size_t)length >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

static enum socket_file_result failed(const struct socket_file *file, const char *what)
{
	log_error("[SOCKET] %s: %s: %s", file->path, what, strerror(errno));
	return SOCKET_FILE_FAILED;
}

static enum socket_file_result lock_take(struct socket_file *file)
{
	char name[SOCKET_FILE_PATH_BYTES + 8];
	struct stat status;

	snprintf(name, sizeof(name), "%s.lock", name_of(file));
	file->lock = openat(file->directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->lock < 0)
		return failed(file, "the lock file cannot be opened");
	/* In /tmp anybody could have made it, to keep the mediator from starting. */
	if (fstat(file->lock, &status) < 0 || (status.st_uid != geteuid() && status.st_uid != 0)) {
		log_error("[SOCKET] %s: the lock file %s belongs to user %u", file->path, name,
			  (unsigned)status.st_uid);
		return SOCKET_FILE_FAILED;
	}
	/* Of this process alone: flock() would be held by a child as well, from its fork until it is another program.
	 */
	if (fcntl(file->lock, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET}) == 0)
		return SOCKET_FILE_OPEN;
	if (errno != EAGAIN && errno != EACCES)
		return failed(file, "the lock file cannot be locked");
	log_error("[SOCKET] %s: another mediator is running", file->path);
	return SOCKET_FILE_IN_USE;
}

/* Removes a socket that nobody listens on. */
static enum socket_file_result stale_remove(struct socket_file *file, const struct sockaddr_un *address)
{
	struct stat status;
	int probe;
	int error;

	if (fstatat(file->directory, name_of(file), &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? SOCKET_FILE_OPEN : failed(file, "cannot be looked at");
	if (!S_ISSOCK(status.st_mode)) {
		log_error("[SOCKET] %s: is there and is no socket", file->path);
		return SOCKET_FILE_FAILED;
	}
	probe = socket(AF_UNIX, file->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return failed(file, "socket");
	error = connect(probe, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(probe);
	/* In /tmp anybody can listen, to keep the mediator from starting: that ends this place only. */
	if (error != ECONNREFUSED && status.st_uid != geteuid() && status.st_uid != 0) {
		log_error("[SOCKET] %s: a program of user %u listens there", file->path, (unsigned)status.st_uid);
		return SOCKET_FILE_FAILED;
	}
	if (error != ECONNREFUSED) {
		log_error("[SOCKET] %s: another program listens there", file->path);
		return SOCKET_FILE_IN_USE;
	}
	log_info("[SOCKET] %s: replacing a stale socket", file->path);
	if (unlinkat(file->directory, name_of(file), 0) < 0)
		return failed(file, "the stale socket cannot be removed");
	return SOCKET_FILE_OPEN;
}

static void group_set(const struct socket_file *file)
{
	const struct group *entry;

	if ((file->mode & S_IWOTH) != 0)
		return;
	entry = getgrnam(file->group[0] ? file->group : GROUP_DEFAULT);
	if (!entry) {
		if (file->group[0])
			log_warning("[SOCKET] %s: there is no group \"%s\"", file->path, file->group);
		return;
	}
	if (fchownat(file->directory, name_of(file), (uid_t)-1, entry->gr_gid, AT_SYMLINK_NOFOLLOW) < 0)
		log_warning("[SOCKET] %s: its group cannot be set: %s", file->path, strerror(errno));
}

static enum socket_file_result socket_bind(struct socket_file *file, const struct sockaddr_un *address)
{
	struct stat status;
	mode_t before;
	int bound;

	file->socket = socket(AF_UNIX, file->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (file->socket < 0)
		return failed(file, "socket");
	/* The file has its rights from the start: chmod would follow a link that took its place. */
	before = umask(~file->mode & 0777);
	bound = bind(file->socket, (const struct sockaddr *)address, sizeof(*address));
	umask(before);
	if (bound < 0)
		return failed(file, "bind");
	if (fstatat(file->directory, name_of(file), &status, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(file, "vanished");
	file->device = status.st_dev;
	file->inode = status.st_ino;
	group_set(file);
	if (listen(file->socket, BACKLOG) < 0)
		return failed(file, "listen");
	return SOCKET_FILE_OPEN;
}

enum socket_file_result socket_file_open(struct socket_file *file)
{
	char directory[SOCKET_FILE_PATH_BYTES];
	struct sockaddr_un address;
	enum socket_file_result result;

	directory_path(file, directory);
	file->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC | (file->is_foreign ? O_NOFOLLOW : 0));
	if (file->directory < 0)
		return failed(file, "its directory");
	if (address_make(file, &address) < 0)
		result = failed(file, "its path");
	else
		result = file->is_foreign ? SOCKET_FILE_OPEN : lock_take(file);
	if (result == SOCKET_FILE_OPEN)
		result = stale_remove(file, &address);
	if (result == SOCKET_FILE_OPEN)
		result = socket_bind(file, &address);
	if (result != SOCKET_FILE_OPEN)
		socket_file_close(file);
	return result;
}

bool socket_file_exists(const struct socket_file *file)
{
	struct stat status;

	return file->socket >= 0 && fstatat(file->directory, name_of(file), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       status.st_dev == file->device && status.st_ino == file->inode;
}

bool socket_file_directory_exists(const struct socket_file *file)
{
	char path[SOCKET_FILE_PATH_BYTES];
	struct stat now;
	struct stat opened;

	directory_path(file, path);
	return lstat(path, &now) == 0 && S_ISDIR(now.st_mode) &&
	       (file->directory < 0 ||
		(fstat(file->directory, &opened) == 0 && opened.st_dev == now.st_dev && opened.st_ino == now.st_ino));
}

void socket_file_close(struct socket_file *file)
{
	if (file->inode != 0 && socket_file_exists(file) && unlinkat(file->directory, name_of(file), 0) < 0)
		log_warning("[SOCKET] %s: cannot be removed: %s", file->path, strerror(errno));
	file->inode = 0;
	if (file->socket >= 0)
		close(file->socket);
	if (file->lock >= 0)
		close(file->lock);
	if (file->directory >= 0)
		close(file->directory);
	file->socket = -1;
	file->lock = -1;
	file->directory = -1;
}
