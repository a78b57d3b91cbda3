/* base/memory: everything that the library allocates, and what the machine has left.
 *
 * Small objects come from mem_new(). Large ones are arenas: one mapping of a size known beforehand, zeroed, in huge
 * pages where the system grants them, handed out in pieces and given back whole. Pages of an arena that are never
 * touched cost nothing. While a session computes nothing may be allocated; debug builds abort if something is. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define MEM_ALIGN 64

/* n zeroed objects of `size` bytes, or NULL. Free with mem_free(). */
void *mem_new(size_t n, size_t size);
/* Room for n of them where `old` was; what is new is not zeroed. NULL leaves `old` as it is. */
void *mem_resize(void *old, size_t n, size_t size);
void mem_free(void *pointer);

typedef struct arena {
  unsigned char *base;
  uint64_t size;
  uint64_t used;
} arena;

/* `what` is for the message. */
llama2_status arena_open(arena *a, uint64_t size, const char *what);
void arena_close(arena *a);

/* The next `bytes` of it, aligned to MEM_ALIGN. Taking more than was opened is a programmer error. An arena that was
 * not opened (base NULL) only counts, so that the code that lays memory out is also the code that sizes it. */
void *arena_take(arena *a, uint64_t bytes);

/* Bytes that this process may still take: the system's estimate of available memory, or less where a cgroup or ulimit -v says so. */
uint64_t mem_available(void);

/* Between these two calls the calling thread must not allocate. */
void mem_forbid(void);
void mem_allow(void);

#endif
