#define _GNU_SOURCE
#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

hash_key hash_key_new(void) {
  hash_key key = {
      {0, 0}
  };
  if (getrandom(&key, sizeof key, GRND_NONBLOCK) != (ssize_t)sizeof key) /* early in the boot of a machine */
    key = (hash_key){
        {(uint64_t)(uintptr_t)&key, (uint64_t)(clock_seconds() * 1e9)}
    };
  return key;
}

static inline uint64_t rotated(uint64_t x, int bits) {
  return x << bits | x >> (64 - bits);
}

static inline void mix(uint64_t v[4]) {
  v[0] += v[1];
  v[2] += v[3];
  v[1] = rotated(v[1], 13) ^ v[0];
  v[3] = rotated(v[3], 16) ^ v[2];
  v[0] = rotated(v[0], 32);
  v[2] += v[1];
  v[0] += v[3];
  v[1] = rotated(v[1], 17) ^ v[2];
  v[3] = rotated(v[3], 21) ^ v[0];
  v[2] = rotated(v[2], 32);
}

static inline void absorb(uint64_t v[4], uint64_t word) {
  v[3] ^= word;
  mix(v);
  v[0] ^= word;
}

uint64_t hash_bytes(hash_key key, const void *bytes, size_t n) {
  const unsigned char *at = bytes;
  uint64_t v[4] = {
      key.words[0] ^ UINT64_C(0x736f6d6570736575),
      key.words[1] ^ UINT64_C(0x646f72616e646f6d),
      key.words[0] ^ UINT64_C(0x6c7967656e657261),
      key.words[1] ^ UINT64_C(0x7465646279746573),
  };
  uint64_t word = 0;
  for (size_t left = n; left >= 8; left -= 8, at += 8) {
    memcpy(&word, at, 8);
    absorb(v, word);
  }
  word = (uint64_t)n << 56;
  for (size_t i = 0; i < n % 8; i++) word |= (uint64_t)at[i] << 8 * i;
  absorb(v, word);
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++) mix(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}
