#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/memory.h"

#define ENDING 32 /* of a temporary name */
#define MIB (1024.0 * 1024.0)

static llama2_status refuse_existing(const char *path) {
  return status_fail_system(LLAMA2_ERR_IO, EEXIST, "%s: is there already; ask for it to be replaced, or name another",
                            path);
}

static llama2_status check_place(const char *path, bool replace) {
  struct stat st;
  if (!*path) return status_fail_system(LLAMA2_ERR_IO, ENOENT, "'': no name, expected the name of a file to write");
  if (stat(path, &st) != 0) { /* what is wrong, creating the file will tell; but not that a link leads nowhere */
    return !replace && lstat(path, &st) == 0 ? refuse_existing(path) : LLAMA2_OK;
  }
  if (!S_ISREG(st.st_mode))
    return status_fail_system(LLAMA2_ERR_IO, S_ISDIR(st.st_mode) ? EISDIR : EINVAL,
                              "%s: %s, expected the name of a file to write", path,
                              S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
  return replace ? LLAMA2_OK : refuse_existing(path);
}

/* File systems that do not know how large they are say 0. */
static llama2_status check_room(const file_out *f, uint64_t bytes) {
  struct statvfs v;
  if (fstatvfs(f->fd, &v) != 0 || v.f_blocks == 0) return LLAMA2_OK;
  uint64_t room = size_mul((uint64_t)v.f_bavail, (uint64_t)v.f_frsize);
  if (bytes <= room) return LLAMA2_OK;
  return status_fail_system(LLAMA2_ERR_IO, ENOSPC,
                            "%s: takes %" PRIu64 " bytes (%.0f MiB), but %" PRIu64
                            " (%.0f MiB) are free on its file system",
                            f->path, bytes, (double)bytes / MIB, room, (double)room / MIB);
}

llama2_status file_out_open(file_out *f, const char *path, uint64_t bytes, bool replace) {
  memset(f, 0, sizeof *f);
  f->fd = -1;
  f->replace = replace;
  RETURN_IF_FAILED(check_place(path, replace));
  size_t n = strlen(path) + 1;
  f->path = mem_new(n, 1);
  f->temporary = mem_new(n + ENDING, 1);
  if (!f->path || !f->temporary) {
    file_out_discard(f);
    return status_fail_sized(LLAMA2_ERR_MEMORY, 2 * n + ENDING, mem_available(), "no memory for the name of a file");
  }
  memcpy(f->path, path, n);
  for (unsigned i = 0; f->fd < 0 && (i == 0 || errno == EEXIST); i++) {
    snprintf(f->temporary, n + ENDING, "%s.%ld-%u.part", path, (long)getpid(), i);
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  llama2_status status = LLAMA2_OK;
  if (f->fd < 0)
    status = status_fail_system(LLAMA2_ERR_IO, errno, "%s: cannot create: %s", path, strerror(errno));
  else
    status = check_room(f, bytes);
  if (status != LLAMA2_OK) file_out_discard(f);
  return status;
}

static llama2_status cannot_write(const file_out *f) {
  return status_fail_system(LLAMA2_ERR_IO, errno, "%s: cannot write on after %" PRIu64 " bytes: %s", f->path, f->size,
                            strerror(errno));
}

llama2_status file_out_write(file_out *f, const void *data, uint64_t n) {
  const unsigned char *p = data;
  while (n > 0) {
    ssize_t written = write(f->fd, p, n < SSIZE_MAX ? (size_t)n : SSIZE_MAX);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return cannot_write(f);
    p += written;
    n -= (uint64_t)written;
    f->size += (uint64_t)written;
  }
  return LLAMA2_OK;
}

/* Where the file system has links, a file that came into being meanwhile is not replaced either. */
static llama2_status take_name(file_out *f) {
  if (!f->replace) {
    if (link(f->temporary, f->path) == 0) return LLAMA2_OK;
    if (errno == EEXIST) return refuse_existing(f->path);
  }
  if (rename(f->temporary, f->path) != 0)
    return status_fail_system(LLAMA2_ERR_IO, errno, "%s: cannot be named so: %s", f->path, strerror(errno));
  return LLAMA2_OK;
}

llama2_status file_out_end(file_out *f) {
  llama2_status status = fsync(f->fd) == 0 ? LLAMA2_OK : cannot_write(f);
  int closed = close(f->fd);
  f->fd = -1;
  if (status == LLAMA2_OK && closed != 0) status = cannot_write(f);
  if (status == LLAMA2_OK) status = take_name(f);
  unlink(f->temporary);
  file_out_discard(f);
  return status;
}

void file_out_discard(file_out *f) {
  if (f->fd >= 0) {
    close(f->fd);
    unlink(f->temporary);
  }
  mem_free(f->path);
  mem_free(f->temporary);
  memset(f, 0, sizeof *f);
  f->fd = -1;
}
