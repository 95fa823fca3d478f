/* Folds seeded rows by one instruction set, and prints a hash of the bits of each case. Linked with the library. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "segment.h"

size_t NAME(fold)(segment_t *);

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

static const size_t SIZES[] = {8, 4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8};

static void *zeroed(size_t count, size_t size)
{
    void *found = calloc(count + 1, size);
    if (!found)
        exit(1);
    return found;
}

static side_t side_of(size_t type, size_t rows, size_t columns, size_t height, int floats)
{
    size_t padded = (columns + STRIP - 1) / STRIP * STRIP + 2 * STRIP, size = SIZES[type];
    char *data = zeroed(rows * columns, size);
    double *shift = zeroed(padded, 8), *factors = zeroed(padded, 8);
    for (size_t i = 0; i < rows * columns; i++)
        put(data + i * size, type, uniform() < 0.1 ? 0 : 20 + 60 * uniform());
    for (size_t j = 0; j < columns; j++) {
        shift[j] = 50 + uniform();
        factors[j] = 1.0 / 16;
    }
    side_t side = {{data, rows, columns, columns * size}, type, shift, zeroed(padded, 8), zeroed(padded, 8),
                   zeroed(padded, 8), zeroed(padded, 8), floats ? factors : 0, 0, 0x1p-14, INFINITY, 1,
                   zeroed(height * padded, 8), zeroed(6 * padded, 8), zeroed(height * padded, 4)};
    return side;
}

int main(void)
{
    for (size_t number = 0; number < 40; number++) {
        state = number;
        size_t type = number % 12, products = number / 3 % 4, height = 256 * (1 + number % 3);
        size_t rows = 200 + next() % 2000, n = 1 + next() % (number % 5 ? 70 : 300), m = 1 + next() % 90;
        int weighted = number % 2, floats = number % 7 == 3;
        side_t sides[2] = {side_of(type, rows, n, height, floats), side_of(1, rows, m, height, floats)};
        double *weights = zeroed(rows, 8), *roots = zeroed(rows, 8), *matrix = zeroed(n * (n > m ? n : m), 8);
        for (size_t k = 0; k < rows; k++)
            roots[k] = sqrt(weights[k] = 0.25 + uniform());
        segment_t s = {sides, weighted ? weights : 0, weighted ? roots : 0, matrix, products == RECTANGLE ? 2 : 1,
                       products, height};
        uint64_t hash = 0xcbf29ce484222325u;
        size_t folded = NAME(fold)(&s);
        for (size_t i = 0; i < s.count; i++) {
            size_t columns = sides[i].rows.columns;
            hash = hashed(hash, sides[i].sums, 8 * columns);
            hash = hashed(hash, sides[i].squares, 8 * columns);
            hash = hashed(hash, sides[i].zeros, 8 * columns);
            hash = hashed(hash, sides[i].subnormals, 8 * columns);
        }
        hash = hashed(hash, matrix, 8 * n * (n > m ? n : m));
        printf("%zu %zu/%zu %016llx\n", number, folded, rows, (unsigned long long)hash);
    }
    return 0;
}
