// Debian's libxxhash picks the widest vector unit at run time through the dispatch header, which exists on x86 only.
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
static inline unsigned long long sluice_xxh3(const void *bytes, size_t count, unsigned long long seed) {
  unsigned long long hash = XXH3_64bits_withSeed_dispatch(bytes, count, seed);
  // Its code for more than 240 bytes leaves the upper halves of the wide registers in use. Then the next instruction of
  // the older kind waits for them, and the next wide one again, which takes about as long as hashing 400 bytes.
  if (count > 240 && __builtin_cpu_supports("avx"))
    __asm__ volatile("vzeroupper" ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                     "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  return hash;
}
// The library's own names again, which are about to be declared once more.
#undef XXH3_64bits
#undef XXH3_64bits_withSeed
#undef XXH3_64bits_update
#undef XXH3_128bits
#undef XXH3_128bits_withSeed
#undef XXH3_128bits_update
#undef XXH128
#else
#include <xxhash.h>
static inline unsigned long long sluice_xxh3(const void *bytes, size_t count, unsigned long long seed) {
  return XXH3_64bits_withSeed(bytes, count, seed);
}
#endif

// For a few bytes there is nothing to pick, and the call would take longer than the hash: for up to 16 of them the same
// function is compiled in.
#define XXH_INLINE_ALL
#include <xxhash.h>
// Always inlined: the compiler thinks it too large for a loop over records.
static inline __attribute__((always_inline)) unsigned long long sluice_xxh3_ofKey(const void *bytes, size_t count) {
  return count <= 16 ? XXH3_64bits(bytes, count) : sluice_xxh3(bytes, count, 0);
}
