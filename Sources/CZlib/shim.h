// The part of zlib that reads a member of a zip archive: its initialization is a macro, which Swift does not import.
#pragma once
#include <string.h>
#include <zlib.h>

// Unpacks raw deflate data of known length; 0 if it is exactly that, and nothing is left of the input.
static inline int sluice_inflate(const void *input, unsigned inputCount, void *output, unsigned outputCount) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return 1;
  stream.next_in = (Bytef *)input;
  stream.avail_in = inputCount;
  stream.next_out = (Bytef *)output;
  stream.avail_out = outputCount;
  int result = inflate(&stream, Z_FINISH);
  int isWhole = result == Z_STREAM_END && stream.avail_out == 0 && stream.avail_in == 0;
  inflateEnd(&stream);
  return isWhole ? 0 : 1;
}

static inline unsigned sluice_crc32(const void *bytes, unsigned count) {
  return (unsigned)crc32(0, (const Bytef *)bytes, count);
}

// Begins to read members of gzip.
static inline int sluice_gunzip_begin(z_stream *stream) {
  memset(stream, 0, sizeof *stream);
  return inflateInit2(stream, 16 + MAX_WBITS);
}
