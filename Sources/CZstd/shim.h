// The stable part of libzstd.
#pragma once
#include <zstd.h>
