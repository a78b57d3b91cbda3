#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static _Thread_local llama2_error last_error;

/* A message is one line of UTF-8 whatever names and pieces of files are in it, or where it was cut. */
static void make_line(char *message) {
  size_t n = strlen(message);
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)message[i] < 0x20 || message[i] == 0x7f) message[i] = '?';
  for (size_t i = 0; (i += utf8_check(message + i, n - i)) < n; i++) message[i] = '?';
}

static llama2_status record(llama2_status status, uint64_t required, uint64_t available, int system, const char *format,
                            va_list arguments) {
  last_error.status = status;
  last_error.system = system;
  last_error.required = required;
  last_error.available = available;
  vsnprintf(last_error.message, sizeof last_error.message, format, arguments);
  make_line(last_error.message);
  return status;
}

llama2_status status_fail(llama2_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  record(status, 0, 0, 0, format, arguments);
  va_end(arguments);
  return status;
}

llama2_status status_fail_sized(llama2_status status, uint64_t required, uint64_t available, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  record(status, required, available, 0, format, arguments);
  va_end(arguments);
  return status;
}

llama2_status status_fail_system(llama2_status status, int system, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  record(status, 0, 0, system, format, arguments);
  va_end(arguments);
  return status;
}

const llama2_error *llama2_last_error(void) {
  return &last_error;
}
