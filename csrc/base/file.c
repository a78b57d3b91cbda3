#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* Sanitizers are told that the last page ends where the file does; nothing else would notice a read past it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, n) ((void)(data), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(data, n) ((void)(data), (void)(n))
#endif

static size_t after_end(uint64_t size) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  return (size_t)((page - size % page) % page);
}

llama2_status file_open(file_map *file, const char *path) {
  memset(file, 0, sizeof *file);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* NONBLOCK: a named pipe must not hang */
  if (fd < 0)
    return status_fail_system(LLAMA2_ERR_IO, errno, "%s: cannot open: %s", *path ? path : "''", strerror(errno));
  struct stat st = {0};
  llama2_status status = LLAMA2_OK;
  if (fstat(fd, &st) != 0) {
    status = status_fail_system(LLAMA2_ERR_IO, errno, "%s: cannot stat: %s", path, strerror(errno));
  } else if (!S_ISREG(st.st_mode)) {
    status = status_fail_system(LLAMA2_ERR_IO, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s: %s, expected a file", path,
                                S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
  } else if (st.st_size > 0) {
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      status = errno == ENOMEM ? status_fail_sized(LLAMA2_ERR_MEMORY, (uint64_t)st.st_size, mem_available(),
                                                   "%s: the system refused to map its %lld bytes; see ulimit -v", path,
                                                   (long long)st.st_size)
                               : status_fail_system(LLAMA2_ERR_IO, errno, "%s: cannot map %lld bytes: %s", path,
                                                    (long long)st.st_size, strerror(errno));
    } else {
      madvise(data, (size_t)st.st_size, MADV_SEQUENTIAL);
      file->data = data;
      file->size = (uint64_t)st.st_size;
      ASAN_POISON_MEMORY_REGION(file->data + file->size, after_end(file->size));
    }
  }
  file->device = (uint64_t)st.st_dev;
  file->inode = (uint64_t)st.st_ino;
  close(fd);
  return status;
}

bool file_is(const file_map *file, const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && (uint64_t)st.st_dev == file->device && (uint64_t)st.st_ino == file->inode;
}

void file_close(file_map *file) {
  if (file->data) {
    ASAN_UNPOISON_MEMORY_REGION(file->data + file->size, after_end(file->size));
    munmap((void *)file->data, (size_t)file->size);
  }
  memset(file, 0, sizeof *file);
}

void file_done(const void *data, uint64_t n) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data;
  uintptr_t first = (begin + page - 1) / page * page, last = (begin + n) / page * page;
  if (last > first) madvise((void *)first, (size_t)(last - first), MADV_DONTNEED);
}
