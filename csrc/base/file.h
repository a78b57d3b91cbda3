/* base/file: a file mapped for reading. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct file_map {
  const unsigned char *data; /* NULL when the file is empty */
  uint64_t size;
} file_map;

/* Maps the regular file at `path`. The status of a failure is LLAMA2_ERR_IO and the message names the file. */
llama2_status file_open(file_map *file, const char *path);
void file_close(file_map *file);

/* Says that data[0..n) inside the map will not be read again, so that it no longer counts as this process's memory. */
void file_done(const file_map *file, const void *data, uint64_t n);

/* Little-endian values at any alignment. */
static inline uint32_t load_u32(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint16_t load_u16(const unsigned char *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint64_t load_u64(const unsigned char *p) {
  return load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
}
static inline int32_t load_i32(const unsigned char *p) {
  return (int32_t)load_u32(p);
}
static inline float load_f32(const unsigned char *p) {
  union {
    uint32_t u;
    float f;
  } bits = {load_u32(p)};
  return bits.f;
}

#endif
