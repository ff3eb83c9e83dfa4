/* SPDX-License-Identifier: Apache-2.0
 *
 * User-mode Linux 6.1 keeps 832 bytes of the extended state of a process, as
 * much as AVX takes, and hands them to PTRACE_SETREGSET. On processors with
 * more, the kernel takes all of the state or nothing. So before it is set, the
 * rest is filled in with what the process has. Programs in the guest must not
 * use that rest (AVX-512), since it is not kept for each of them.
 *
 * Preloaded into the guest's kernel; see __main__.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define XSTATE 0x202

typedef long call(int, pid_t, void *, void *);

long ptrace(enum __ptrace_request request, ...)
{
	static unsigned char whole[1 << 14];
	static call *next;
	struct iovec all = {whole, sizeof whole};
	struct iovec *given;
	va_list rest;
	va_start(rest, request);
	pid_t process = va_arg(rest, pid_t);
	void *kind = va_arg(rest, void *);
	void *data = va_arg(rest, void *);
	va_end(rest);

	if (!next)
		next = (call *)dlsym(RTLD_NEXT, "ptrace");
	given = data;
	if (request != PTRACE_SETREGSET || (long)kind != XSTATE
	    || next(PTRACE_GETREGSET, process, kind, &all) < 0
	    || given->iov_len >= all.iov_len)
		return next(request, process, kind, data);
	memcpy(whole, given->iov_base, given->iov_len);
	return next(PTRACE_SETREGSET, process, kind, &all);
}
