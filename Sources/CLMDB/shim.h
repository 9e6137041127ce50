#include <lmdb.h>
// Swift's Glibc module leaves malloc's settings out.
#include <malloc.h>
