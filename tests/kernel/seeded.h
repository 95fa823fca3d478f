/* Seeded rows of every type of number, and hashes of what is made of them. */
#ifndef SEEDED_H
#define SEEDED_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "segment.h"

size_t NAME(fold)(segment_t *);
void NAME(multiply)(segment_t *);
void NAME(end)(size_t columns, double weight, const double *pilot, const double *sums, const double *squares, double *moments);
void NAME(centre)(size_t n, double factor, const double *sums, const double *square, double *packed);

static const size_t SIZES[] = {8, 4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8}; /* of the types, as in TYPES of pass.c */
static const uint64_t NO_HASH = 0xcbf29ce484222325u;

static uint64_t state;

static uint64_t next(void) /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double uniform(void) { return (double)(next() >> 11) * 0x1p-53; }

static uint64_t hashed(uint64_t hash, const void *data, size_t bytes) /* FNV-1a */
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return hash;
}

/* One number of a type, as its bits: near 50, sometimes 0; halves are 16 bits cut off or counted in. */
static void put(void *to, size_t type, double value)
{
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, 4);
    uint16_t top = (uint16_t)(bits >> 16), half = (uint16_t)(next() % 0x7c00); /* any finite float16 */
    switch (type) {
    case 0: memcpy(to, &value, 8); break;
    case 1: memcpy(to, &single, 4); break;
    case 2: memcpy(to, &half, 2); break;
    case 3: memcpy(to, &top, 2); break;
    case 4: *(int8_t *)to = (int8_t)value; break;
    case 5: *(int16_t *)to = (int16_t)(value * 100); break;
    case 6: *(int32_t *)to = (int32_t)(value * 1e6); break;
    case 7: *(int64_t *)to = (int64_t)(value * 1e13); break;
    case 8: *(uint8_t *)to = (uint8_t)value; break;
    case 9: *(uint16_t *)to = (uint16_t)(value * 100); break;
    case 10: *(uint32_t *)to = (uint32_t)(value * 1e6); break;
    default: *(uint64_t *)to = (uint64_t)(value * 1e13);
    }
}
#endif
