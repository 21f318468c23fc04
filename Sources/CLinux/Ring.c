// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct clinux_ring {
    int fd;
    unsigned entries;
    // Sends put by since the last submit.
    unsigned pending;
    void *rings;
    size_t rings_size;
    struct io_uring_sqe *sqes;
    size_t sqes_size;
    unsigned *sq_head, *sq_tail, *sq_array, sq_mask;
    unsigned *cq_head, *cq_tail, cq_mask;
    struct io_uring_cqe *cqes;
};

static int setup(unsigned entries, unsigned flags, struct io_uring_params *parameters) {
    memset(parameters, 0, sizeof *parameters);
    parameters->flags = flags;
    return (int)syscall(SYS_io_uring_setup, entries, parameters);
}

struct clinux_ring *clinux_ring_create(unsigned entries) {
    struct io_uring_params parameters;
    // Completions are handled by our own call and never interrupt the thread (Linux 6.1).
    unsigned flags = 0;
#if defined(IORING_SETUP_DEFER_TASKRUN) && defined(IORING_SETUP_SINGLE_ISSUER)
    flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
#endif
    int fd = setup(entries, flags, &parameters);
    if (fd < 0 && errno == EINVAL) fd = setup(entries, 0, &parameters);
    if (fd < 0) return NULL;

    struct clinux_ring *ring = NULL;
    if (parameters.features & IORING_FEAT_SINGLE_MMAP) ring = calloc(1, sizeof *ring);
    if (!ring) {
        close(fd);
        errno = ENOSYS;
        return NULL;
    }
    ring->fd = fd;
    ring->entries = parameters.sq_entries;
    size_t sq = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
    size_t cq = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = sq > cq ? sq : cq;
    ring->sqes_size = parameters.sq_entries * sizeof(struct io_uring_sqe);
    int protection = PROT_READ | PROT_WRITE, sharing = MAP_SHARED | MAP_POPULATE;
    ring->rings = mmap(NULL, ring->rings_size, protection, sharing, fd, IORING_OFF_SQ_RING);
    ring->sqes = mmap(NULL, ring->sqes_size, protection, sharing, fd, IORING_OFF_SQES);
    if (ring->rings == MAP_FAILED || ring->sqes == MAP_FAILED) {
        clinux_ring_destroy(ring);
        errno = ENOMEM;
        return NULL;
    }
    char *base = ring->rings;
    ring->sq_head = (unsigned *)(base + parameters.sq_off.head);
    ring->sq_tail = (unsigned *)(base + parameters.sq_off.tail);
    ring->sq_array = (unsigned *)(base + parameters.sq_off.array);
    ring->sq_mask = *(unsigned *)(base + parameters.sq_off.ring_mask);
    ring->cq_head = (unsigned *)(base + parameters.cq_off.head);
    ring->cq_tail = (unsigned *)(base + parameters.cq_off.tail);
    ring->cq_mask = *(unsigned *)(base + parameters.cq_off.ring_mask);
    ring->cqes = (struct io_uring_cqe *)(base + parameters.cq_off.cqes);
    return ring;
}

void clinux_ring_destroy(struct clinux_ring *ring) {
    if (!ring) return;
    if (ring->rings && ring->rings != MAP_FAILED) munmap(ring->rings, ring->rings_size);
    if (ring->sqes && (void *)ring->sqes != MAP_FAILED) munmap(ring->sqes, ring->sqes_size);
    close(ring->fd);
    free(ring);
}

_Bool clinux_ring_send(struct clinux_ring *ring, int fd, const void *bytes, size_t count) {
    if (ring->pending == ring->entries || count > UINT32_MAX) return 0;
    // Only this thread moves the tail; the kernel reads it in the next submit.
    unsigned index = (*ring->sq_tail + ring->pending) & ring->sq_mask;
    struct io_uring_sqe *entry = &ring->sqes[index];
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_SEND;
    entry->fd = fd;
    entry->addr = (uint64_t)(uintptr_t)bytes;
    entry->len = (uint32_t)count;
    entry->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    entry->user_data = ring->pending;
    ring->sq_array[index] = index;
    ring->pending++;
    return 1;
}

static unsigned reap(struct clinux_ring *ring, int32_t *results) {
    unsigned head = *ring->cq_head, count = 0;
    unsigned tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++, count++) {
        struct io_uring_cqe *completion = &ring->cqes[head & ring->cq_mask];
        results[completion->user_data] = completion->res;
    }
    __atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
    return count;
}

void clinux_ring_submit(struct clinux_ring *ring, int32_t *results) {
    unsigned total = ring->pending, submitted = 0, completed = 0;
    ring->pending = 0;
    for (unsigned i = 0; i < total; i++) results[i] = -EAGAIN;
    __atomic_store_n(ring->sq_tail, *ring->sq_tail + total, __ATOMIC_RELEASE);
    while (completed < total) {
        unsigned left = total - submitted;
        long count = syscall(
            SYS_io_uring_enter, ring->fd, left, total - completed, IORING_ENTER_GETEVENTS, NULL, 0);
        if (count > 0) submitted += (unsigned)count;
        completed += reap(ring, results);
        if (count >= 0 || errno == EINTR) continue;
        // The kernel takes no more now. What it has not taken is withdrawn; what it has, completes.
        __atomic_store_n(
            ring->sq_tail, __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
        total = submitted;
        if (completed < total && errno != EBUSY && errno != EAGAIN && errno != ENOMEM) return;
    }
}
