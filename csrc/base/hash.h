/* base/hash: SipHash-1-3 (Aumasson and Bernstein, 2012): whoever does not know the key cannot choose texts that meet in a
 * hash table. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct hash_key {
  uint64_t words[2];
} hash_key;

/* One that nobody can foresee, from the system. */
hash_key hash_key_new(void);

uint64_t hash_bytes(hash_key key, const void *bytes, size_t n);

#endif
