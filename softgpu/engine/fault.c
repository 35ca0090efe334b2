/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of kernels.  An access to a hole of the arena raises SIGSEGV in the
 * thread that runs the block; the handler leaves the block through its scope.
 * Any other SIGSEGV is passed to whoever handled it before.
 */
#include "engine_private.h"

#include <signal.h>
#include <stddef.h>

static _Thread_local struct fault_scope *current_scope;
static struct sigaction previous_segv, previous_bus;
static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static bool installed;

static void fault_chain(int signal_number, siginfo_t *info, void *context)
{
	const struct sigaction *previous = signal_number == SIGSEGV ? &previous_segv : &previous_bus;

	if (previous->sa_flags & SA_SIGINFO) {
		previous->sa_sigaction(signal_number, info, context);
	} else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
		previous->sa_handler(signal_number);
	} else {
		/* Back to the default: the access happens again and ends the process. */
		signal(signal_number, SIG_DFL);
	}
}

static void fault_handle(int signal_number, siginfo_t *info, void *context)
{
	struct fault_scope *scope = current_scope;
	uint64_t address = (uint64_t)(uintptr_t)info->si_addr;

	if (!scope || info->si_code <= 0 ||
	    (address - scope->arena_base >= scope->arena_bytes &&
	     !(address >= scope->host_low && address < scope->host_high))) {
		fault_chain(signal_number, info, context);
		return;
	}
	scope->fault = ENGINE_FAULT_ILLEGAL_ADDRESS;
	scope->address = address;
	siglongjmp(scope->jump, 1);
}

static void fault_install(void)
{
	/* SA_NODEFER: the handler leaves by a jump that does not restore the signal mask. */
	struct sigaction action = {.sa_sigaction = fault_handle, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	installed = sigaction(SIGSEGV, &action, &previous_segv) == 0 && sigaction(SIGBUS, &action, &previous_bus) == 0;
}

bool fault_handlers_install(void)
{
	return pthread_once(&install_once, fault_install) == 0 && installed;
}

void fault_scope_enter(struct fault_scope *scope)
{
	scope->host_low = UINT64_MAX;
	scope->host_high = 0;
	scope->fault = ENGINE_FAULT_NONE;
	scope->address = 0;
	current_scope = scope;
}

void fault_scope_leave(void)
{
	current_scope = NULL;
}

void fault_scope_admit(uint64_t address, uint64_t bytes)
{
	struct fault_scope *scope = current_scope;

	if (address < scope->host_low)
		scope->host_low = address;
	if (address + bytes > scope->host_high)
		scope->host_high = address + bytes;
}

_Noreturn void exec_fault(struct warp *warp, enum engine_fault fault, uint64_t address)
{
	struct fault_scope *scope = current_scope;

	(void)warp;
	scope->fault = fault;
	scope->address = address;
	siglongjmp(scope->jump, 1);
}
