#ifndef COVDIST_FRAMES_H
#define COVDIST_FRAMES_H
#include "kernel.h"

/* A chunk in memory as its file holds it: a Zstandard frame whose blocks are not compressed, and a checksum. */
typedef struct {
    char *memory;
    size_t chunk;  /* bytes of rows */
    size_t summed; /* of them, those that came one after the other, from the first on, and that `crc` knows */
    uint64_t crc;
} frame_t;

void NAME(into_frame)(frame_t *, size_t at, const char *data, size_t bytes);
size_t NAME(frame)(const frame_t *, size_t bytes);
#endif
