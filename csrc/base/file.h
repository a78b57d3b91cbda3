/* base/file: a file mapped for reading, and a file that is written under another name until it is whole. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct file_map {
  const unsigned char *data; /* NULL when the file is empty */
  uint64_t size;
  uint64_t device, inode; /* which file it is, whatever its name */
} file_map;

/* Maps the regular file at `path`. The status of a failure is LLAMA2_ERR_IO and the message names the file. */
llama2_status file_open(file_map *file, const char *path);
void file_close(file_map *file);

/* Says that data[0..n), inside a map of a file that is only read, will not be read again: its whole pages no longer count
 * as this process's memory. */
void file_done(const void *data, uint64_t n);

/* Whether `path` leads to the file that is mapped. */
bool file_is(const file_map *file, const char *path);

/* A file in the making. It lies beside its place, so that taking its name is one step: until then whoever looks sees
 * what was there before, and a process that is killed leaves a name that ends in ".part". */
typedef struct file_out {
  char *path, *temporary;
  int fd;
  bool replace;
  uint64_t size; /* written so far */
} file_out;

/* `bytes`: what will be written. Refused where there is no room for them, where something is that is no regular file,
 * and, unless `replace`, where there is a file. On success end it with file_out_end() or file_out_discard().
 * Errors: IO, MEMORY. */
llama2_status file_out_open(file_out *f, const char *path, uint64_t bytes, bool replace);

/* Appends. Errors: IO; what was written stays until file_out_discard(). */
llama2_status file_out_write(file_out *f, const void *data, uint64_t n);

/* Has all of it on the disk, and gives it its name. After an error nothing is left of it. Errors: IO. */
llama2_status file_out_end(file_out *f);

/* Leaves nothing of it. */
void file_out_discard(file_out *f);

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
