/* base/digest: a number that tells data apart, the same on every machine; against accidents, not against forgers. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdint.h>

#define DIGEST_START UINT64_C(0x9E3779B97F4A7C15)

static inline uint64_t digest_u64(uint64_t digest, uint64_t value) {
  digest = (digest ^ value) * UINT64_C(0xBF58476D1CE4E5B9);
  return digest ^ digest >> 31;
}

/* data[0..n) in words of eight bytes, little endian, the last one filled up with zeros. */
static inline uint64_t digest_bytes(uint64_t digest, const void *data, uint64_t n) {
  const unsigned char *p = data;
  for (; n >= 8; n -= 8, p += 8)
    digest = digest_u64(digest, (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
                                    (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
                                    (uint64_t)p[7] << 56);
  uint64_t rest = 0;
  for (uint64_t i = 0; i < n; i++) rest |= (uint64_t)p[i] << (8 * i);
  return n ? digest_u64(digest, rest) : digest;
}

#endif
