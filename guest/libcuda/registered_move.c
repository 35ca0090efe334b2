/* SPDX-License-Identifier: Apache-2.0 */
#include "registered_move.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "debug.h"
#include "mappings.h"
#include "pages.h"
#include "registered_edges.h"
#include "standstill.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* So long stand the threads still, and so much memory more is needed. */
#define PIECE_BYTES	((size_t)64 << 20)
#define STATUS_BYTES	8192
#define CHUNK_IS_MAPPED 2u
/* Of one that may grow as it likes. */
#define STACK_BYTES_MAX ((uint64_t)1 << 30)

/* Where the first thread's stack begins: ld.so's, which no header of the C library declares. */
extern void *__libc_stack_end; /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* Pages that have been moved. */
struct moved {
	uint8_t *place;
	size_t bytes;
	/* What is mapped there, as /proc/self/maps has it. */
	uint64_t inode;
	unsigned int major;
	unsigned int minor;
	uint64_t offset_of_zero; /* of the file's that would lie at address 0 */
	size_t found;		 /* while it is looked for: so much is still there as it was */
	bool is_gone;		 /* and: nothing is */
	bool has_neighbours;	 /* other blocks of the heap in the first and last page */
	uint8_t *copy; /* during a fork, for the child, of all but what is set aside for it (registered_edges.h) */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct moved *moves;
static size_t move_count;
static size_t move_capacity;
static bool has_handlers;	 /* of forks */
static size_t neighbourly_count; /* moves with neighbours */

struct kind_wish {
	uint64_t next; /* below it all is as it should be */
	uint64_t end;
	bool is_refused;
};

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Without a file, or variables of the program or of a library, which are as good as that once they are loaded. */
static bool is_ordinary(const struct mapping *mapping, uint64_t address)
{
	Dl_info object;

	if (strcmp(mapping->permissions, "rw-p") != 0)
		return false;
	if (mapping->inode)
		return dladdr((void *)(uintptr_t)address, &object);
	return !mapping->name[0] || strcmp(mapping->name, "[heap]") == 0 || strcmp(mapping->name, "[stack]") == 0 ||
	       has_prefix(mapping->name, "[anon:");
}

static bool kind_visit(const struct mapping *mapping, void *argument)
{
	struct kind_wish *wish = argument;

	if (has_prefix(mapping->name, "/[aio]") || has_prefix(mapping->name, "anon_inode:[io_uring]"))
		wish->is_refused = true;
	else if (mapping->start <= wish->next && mapping->end > wish->next && wish->next < wish->end) {
		wish->is_refused |= !is_ordinary(mapping, wish->next);
		wish->next = mapping->end;
	}
	return !wish->is_refused;
}

/* Does no hardware know pages of the process (proc_pid_status(5), VmPin)? */
static bool nothing_is_pinned(void)
{
	char text[STATUS_BYTES];
	const char *line;
	ssize_t got;
	int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return false;
	got = read(file, text, sizeof(text) - 1);
	close(file);
	text[got < 0 ? 0 : got] = '\0';
	line = strstr(text, "VmPin:");
	return line && strtoull(line + strlen("VmPin:"), NULL, 10) == 0;
}

/*
 * The first thread's stack grows by its lowest mapping (mmap(2), MAP_GROWSDOWN), which a shared page must not become.
 * Below it nothing else is near (stack_guard_gap).
 */
static bool is_where_stack_grows(uint64_t start)
{
	const uint64_t top = (uintptr_t)__libc_stack_end;
	struct rlimit limit = {0};

	(void)getrlimit(RLIMIT_STACK, &limit);
	if (start > top || top - start >= (limit.rlim_cur < STACK_BYTES_MAX ? limit.rlim_cur : STACK_BYTES_MAX))
		return false;
	/* Only asks whether something is mapped there (msync(2)). */
	return msync((void *)(uintptr_t)(start - PAGE_BYTES), PAGE_BYTES, MS_ASYNC) != 0;
}

/* Is the first page that of a block which malloc() has mapped for itself, as it does large ones, and the last one its
 * too? */
static bool is_block_of_its_own(uint64_t start, uint64_t end)
{
	/* As glibc's malloc.c lays a chunk out: the size of the one before, which there is not, then its own with
	 * flags. */
	uint64_t chunk[2] = {0};

	pages_copy(chunk, (const void *)(uintptr_t)start, sizeof(chunk));
	return chunk[0] == 0 && chunk[1] % PAGE_BYTES == CHUNK_IS_MAPPED && chunk[1] >= end - start;
}

static bool is_variable(uint64_t first, uint64_t last)
{
	Dl_info object, object_of_last;

	return dladdr((void *)(uintptr_t)first, &object) && dladdr((void *)(uintptr_t)last, &object_of_last) &&
	       object.dli_fbase == object_of_last.dli_fbase;
}

/*
 * Where a page is only partly the range's the child of a fork must have all of it from the start, for there are
 * malloc()'s own words, and what this library has allocated: unless that is known not to be so.
 */
static bool edges_are_alone(uint64_t address, uint64_t bytes, uint64_t start, uint64_t end)
{
	return (start == address && end == address + bytes) || is_variable(address, address + bytes - 1) ||
	       is_block_of_its_own(start, end);
}

bool move_is_possible(uint64_t address, uint64_t bytes, bool *ret_has_neighbours)
{
	uint64_t start = address & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t end = (address + bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	struct kind_wish wish = {.next = start, .end = end};
	const char *obstacle = NULL;

	if (!mappings_each(kind_visit, &wish) || wish.is_refused || wish.next < end)
		obstacle = "it is not private memory without a file, or the kernel works on memory of the process";
	else if (!nothing_is_pinned())
		obstacle = "hardware knows pages of the process";
	else if (is_where_stack_grows(start))
		obstacle = "the stack grows there";
	if (obstacle) {
		debug_note("registered memory at 0x%" PRIx64 " is not shared: %s", address, obstacle);
		return false;
	}
	*ret_has_neighbours = !edges_are_alone(address, bytes, start, end);
	return true;
}

struct piece {
	uint8_t *place;
	uint8_t *spare;
	size_t bytes;
	bool comes_back; /* into private memory; the shared pages are given up */
	bool has_no_futexes;
	bool is_done;
};

/* While the threads stand still. The piece may lie in the pages themselves, and so may the thread's own data. */
static void piece_move(void *argument)
{
	struct piece piece = *(const struct piece *)argument;
	enum pages_taken taken;

	if (piece.has_no_futexes &&
	    standstill_has_control_block((uintptr_t)piece.place, (uintptr_t)piece.place + piece.bytes))
		return;
	pages_copy(piece.spare, piece.place, piece.bytes);
	if (piece.comes_back)
		(void)system_call(SYS_madvise, (long)piece.place, (long)piece.bytes, MADV_REMOVE, 0);
	taken = pages_take(piece.place, piece.spare, piece.bytes);
	piece.is_done = taken == PAGES_MOVED;
	if (piece.comes_back && taken == PAGES_COPIED) {
		piece.is_done = true;
		(void)system_call(SYS_munmap, (long)piece.spare, (long)piece.bytes, 0, 0);
		/* Only asks whether something is mapped there (msync(2)). */
	} else if (piece.comes_back && taken == PAGES_LOST &&
		   system_call(SYS_msync, (long)piece.place, (long)piece.bytes, MS_ASYNC, 0) == 0) {
		pages_copy(piece.place, piece.spare, piece.bytes);
	}
	((struct piece *)argument)->is_done = piece.is_done;
}

/* How much of it was moved; the rest of the spare memory is unmapped. */
static size_t pages_move(uint8_t *place, uint8_t *spare, size_t bytes, bool comes_back, bool has_no_futexes)
{
	size_t done = 0;

	while (done < bytes) {
		struct piece piece = {
			.place = place + done,
			.spare = spare + done,
			.bytes = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES,
			.comes_back = comes_back,
			.has_no_futexes = has_no_futexes,
		};

		/* Before the threads have to wait for it, and while they can serve faults of userfaultfd(2). */
		(void)madvise(piece.place, piece.bytes, MADV_POPULATE_READ);
		(void)madvise(piece.spare, piece.bytes, MADV_POPULATE_WRITE);
		if (!standstill_run(piece_move, &piece) || !piece.is_done)
			break;
		done += piece.bytes;
	}
	if (done < bytes)
		munmap(spare + done, bytes - done);
	return done;
}

static size_t pages_return(uint8_t *place, size_t bytes)
{
	void *spare = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return spare == MAP_FAILED ? 0 : pages_move(place, spare, bytes, true, false);
}

static bool identity_visit(const struct mapping *mapping, void *argument)
{
	struct moved *moved = argument;

	if (mapping->end <= (uintptr_t)moved->place)
		return true;
	moved->inode = mapping->inode;
	moved->major = mapping->major;
	moved->minor = mapping->minor;
	moved->offset_of_zero = mapping->offset - mapping->start;
	return false;
}

/* There is room for it. */
static void move_note(uint8_t *place, size_t bytes, bool has_neighbours)
{
	struct moved *moved = &moves[move_count++];

	*moved = (struct moved){.place = place, .bytes = bytes, .has_neighbours = has_neighbours};
	neighbourly_count += has_neighbours;
	(void)mappings_each(identity_visit, moved);
}

static bool found_visit(const struct mapping *mapping, void *argument)
{
	(void)argument;
	for (size_t i = 0; i < move_count; i++) {
		struct moved *moved = &moves[i];
		uint64_t start = (uintptr_t)moved->place;
		uint64_t end = start + moved->bytes;

		if (mapping->end <= start || mapping->start >= end || mapping->inode != moved->inode ||
		    mapping->major != moved->major || mapping->minor != moved->minor ||
		    mapping->offset - mapping->start != moved->offset_of_zero)
			continue;
		moved->is_gone = false;
		if (strcmp(mapping->permissions, "rw-s") != 0)
			continue;
		moved->found += (size_t)((mapping->end < end ? mapping->end : end) -
					 (mapping->start > start ? mapping->start : start));
	}
	return true;
}

/* Sees which moved pages are still there: the program may have unmapped them. */
static void moves_find(void)
{
	for (size_t i = 0; i < move_count; i++) {
		moves[i].found = 0;
		moves[i].is_gone = true;
	}
	if (move_count && !mappings_each(found_visit, NULL))
		for (size_t i = 0; i < move_count; i++)
			moves[i].is_gone = false;
}

static uint8_t *last_page(const struct moved *moved)
{
	return moved->place + moved->bytes - PAGE_BYTES;
}

static void pages_set_aside(void)
{
	for (size_t i = 0; i < move_count; i++)
		if (moves[i].found == moves[i].bytes)
			edges_add_in_use(moves[i].place, moves[i].place + moves[i].bytes);
	for (size_t i = 0; i < move_count; i++) {
		if (!moves[i].has_neighbours || moves[i].found != moves[i].bytes)
			continue;
		edge_add(moves[i].place);
		edge_add(last_page(&moves[i]));
	}
	edges_set_aside();
}

/* Pages in a row that are not set aside. */
struct run {
	size_t offset;
	size_t bytes;
};

/* The next after 'run'; false: there is none. */
static bool run_next(const struct moved *moved, struct run *run)
{
	uint8_t *end = moved->place + moved->bytes;
	uint8_t *start = moved->place + run->offset + run->bytes;

	while (start < end && edge_next(start, end) == start)
		start += PAGE_BYTES;
	run->offset = (size_t)(start - moved->place);
	run->bytes = (size_t)(edge_next(start, end) - start);
	return run->bytes;
}

static void copy_make(struct moved *moved)
{
	struct run run = {0};

	if (!run_next(moved, &run))
		return;
	moved->copy = mmap(NULL, moved->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (moved->copy == MAP_FAILED) {
		moved->copy = NULL;
		return;
	}
	do
		pages_copy(moved->copy + run.offset, moved->place + run.offset, run.bytes);
	while (run_next(moved, &run));
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&mutex);
	moves_find();
	pages_set_aside();
	for (size_t i = 0; i < move_count; i++) {
		moves[i].copy = NULL;
		if (moves[i].found == moves[i].bytes)
			copy_make(&moves[i]);
	}
}

static void fork_parent(void)
{
	edges_bring_back();
	for (size_t i = 0; i < move_count; i++)
		if (moves[i].copy)
			munmap(moves[i].copy, moves[i].bytes);
	pthread_mutex_unlock(&mutex);
}

static void fork_child(void)
{
	/* A child that ends is better than one that writes its parent's memory. */
	if (!edges_in_use_are_aside())
		(void)kill(getpid(), SIGKILL);
	for (size_t i = 0; i < move_count; i++) {
		struct moved *moved = &moves[i];
		struct run run = {0};

		while (moved->found == moved->bytes && run_next(moved, &run)) {
			uint8_t *place = moved->place + run.offset;

			if (!moved->copy || pages_take(place, moved->copy + run.offset, run.bytes) == PAGES_LOST)
				(void)mmap(place, run.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		}
	}
	edges_forget();
	move_count = 0;
	neighbourly_count = 0;
	pthread_mutex_unlock(&mutex);
}

/* A handler that forks would wait for itself. */
static void moves_lock(sigset_t *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_before);
	pthread_mutex_lock(&mutex);
}

static void moves_unlock(const sigset_t *before)
{
	pthread_mutex_unlock(&mutex);
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static bool move_prepare(void)
{
	size_t capacity = move_capacity ? 2 * move_capacity : 16;
	struct moved *grown;

	has_handlers = has_handlers || pthread_atfork(fork_prepare, fork_parent, fork_child) == 0;
	if (!has_handlers || move_count < move_capacity)
		return has_handlers;
	grown = realloc(moves, capacity * sizeof(*grown));
	if (!grown)
		return false;
	moves = grown;
	move_capacity = capacity;
	return true;
}

bool move_out(void *place, void *spare, size_t bytes, bool has_neighbours, bool has_no_futexes)
{
	size_t done = 0;
	sigset_t before;

	moves_lock(&before);
	if ((!has_neighbours || neighbourly_count < EDGES_MAX / 2) && move_prepare())
		done = pages_move(place, spare, bytes, false, has_no_futexes);
	else
		munmap(spare, bytes);
	if (done == bytes) {
		move_note(place, bytes, has_neighbours);
	} else if (done) {
		size_t back = pages_return(place, done);

		/* What cannot come back now is shared with nobody soon, and holds what it held. */
		if (back < done)
			move_note((uint8_t *)place + back, done - back, has_neighbours);
	}
	moves_unlock(&before);
	return done == bytes;
}

/* As much as is possible; what is left stays noted. What the program has unmapped is as good as back. */
static void move_undo(struct moved *moved)
{
	size_t done = moved->is_gone ? moved->bytes : 0;

	if (moved->found == moved->bytes)
		done = pages_return(moved->place, moved->bytes);
	moved->place += done;
	moved->bytes -= done;
}

bool move_back(void *place, size_t bytes)
{
	bool is_back = true;
	sigset_t before;

	moves_lock(&before);
	moves_find();
	for (size_t i = move_count; i-- > 0;) {
		struct moved *moved = &moves[i];

		if (moved->place < (uint8_t *)place || moved->place >= (uint8_t *)place + bytes)
			continue;
		move_undo(moved);
		if (moved->bytes == 0) {
			neighbourly_count -= moved->has_neighbours;
			*moved = moves[--move_count];
		} else {
			is_back = false;
		}
	}
	moves_unlock(&before);
	return is_back;
}
