/* Loaded before a program (LD_PRELOAD), lets its wall clock step: by the milliseconds that stand, as eight bytes, in the
   file CLOCK_STEP_FILE. Monotonic time goes on as it is. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step;

__attribute__((constructor)) static void find_step(void) {
  const char *path = getenv("CLOCK_STEP_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (page != MAP_FAILED) step = page;
}

static int64_t clock_shim_step(void) { return step ? *step : 0; }

int clock_gettime(clockid_t clock, struct timespec *time) {
  int code = (int)syscall(SYS_clock_gettime, clock, time);
  if (code == 0 && clock == CLOCK_REALTIME) time->tv_sec += clock_shim_step() / 1000;
  return code;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  int code = (int)syscall(SYS_gettimeofday, time, zone);
  if (code == 0) time->tv_sec += clock_shim_step() / 1000;
  return code;
}
