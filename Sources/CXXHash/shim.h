// Debian's libxxhash picks the widest vector unit at run time through the dispatch header, which exists on x86 only.
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
static inline unsigned long long sluice_xxh3(const void *bytes, size_t count, unsigned long long seed) {
  return XXH3_64bits_withSeed_dispatch(bytes, count, seed);
}
#else
#include <xxhash.h>
static inline unsigned long long sluice_xxh3(const void *bytes, size_t count, unsigned long long seed) {
  return XXH3_64bits_withSeed(bytes, count, seed);
}
#endif
