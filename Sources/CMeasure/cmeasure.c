// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "cmeasure.h"

#include <errno.h>
#include <stddef.h>

// Of one thread, so that a test may count while others run beside it.
static _Thread_local uint64_t allocations;

uint64_t cmeasure_allocations(void) { return allocations; }

// An executable's own definitions come before the C library's for every library in the process. What they
// stand before is reached by glibc's internal names; free stays glibc's.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) \
    && !__has_feature(thread_sanitizer)
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

bool cmeasure_counts(void) { return true; }

void *malloc(size_t size) {
    allocations += 1;
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    allocations += 1;
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    allocations += 1;
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations += 1;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    allocations += 1;
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}
#else
bool cmeasure_counts(void) { return false; }
#endif
