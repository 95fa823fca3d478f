/* Copies of rows that no one reads soon, past the caches, which belong to whoever computes meanwhile, as they are or
   rounded. */
#include "copies.h"
#include "stream.h"

enum { SIDE = 16 };

/* Columns that lie apart are read one after the other, each a line of the cache; rows are written `apart` bytes apart. */
#define TURN(type)                                                                                                     \
    INLINED void turned_##type(char *to, size_t apart, const char *from, int64_t column_stride, int64_t row_stride,    \
                               size_t height, size_t width)                                                            \
    {                                                                                                                  \
        for (size_t i = 0; i < width; i++, to += sizeof(type), from += column_stride)                                  \
            if (height == SIDE) /* what the compiler knows takes less time */                                          \
                for (size_t l = 0; l < SIDE; l++)                                                                      \
                    memcpy(to + l * apart, from + (int64_t)l * row_stride, sizeof(type));                              \
            else                                                                                                       \
                for (size_t l = 0; l < height; l++)                                                                    \
                    memcpy(to + l * apart, from + (int64_t)l * row_stride, sizeof(type));                              \
    }
TURN(uint8_t)
TURN(uint16_t)
TURN(uint32_t)
TURN(uint64_t)

#if defined(__SSE2__)
/* Four columns and rows at once, which takes a third of the time; return how many columns that were. */
INLINED size_t turned_whole(char *to, size_t apart, const char *from, int64_t stride, size_t width)
{
    size_t i = 0;
    for (; i + 4 <= width; i += 4, from += 4 * stride, to += 16)
        for (size_t l = 0; l < SIDE; l += 4) {
            float *out = (float *)(to + l * apart), *second = (float *)(to + (l + 1) * apart);
            float *third = (float *)(to + (l + 2) * apart), *last = (float *)(to + (l + 3) * apart);
            __m128 a = _mm_loadu_ps((const float *)(from + 4 * l)), b = _mm_loadu_ps((const float *)(from + stride + 4 * l));
            __m128 c = _mm_loadu_ps((const float *)(from + 2 * stride + 4 * l));
            __m128 d = _mm_loadu_ps((const float *)(from + 3 * stride + 4 * l));
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(out, a);
            _mm_storeu_ps(second, b);
            _mm_storeu_ps(third, c);
            _mm_storeu_ps(last, d);
        }
    return i;
}
#else
INLINED size_t turned_whole(char *to, size_t apart, const char *from, int64_t stride, size_t width)
{
    turned_uint32_t(to, apart, from, stride, 4, SIDE, width);
    return width;
}
#endif

/* Turn up to SIDE rows and columns. */
INLINED void turned(const copy_t *c, char *to, size_t apart, const char *from, size_t height, size_t width)
{
    size_t done = c->item == 4 && height == SIDE && c->row_stride == 4
                      ? turned_whole(to, apart, from, c->column_stride, width)
                      : 0;
    to += done * c->item, from += (int64_t)done * c->column_stride, width -= done;
    if (c->item == 1)
        turned_uint8_t(to, apart, from, c->column_stride, c->row_stride, height, width);
    else if (c->item == 2)
        turned_uint16_t(to, apart, from, c->column_stride, c->row_stride, height, width);
    else if (c->item == 4)
        turned_uint32_t(to, apart, from, c->column_stride, c->row_stride, height, width);
    else
        turned_uint64_t(to, apart, from, c->column_stride, c->row_stride, height, width);
}

static size_t side_of(size_t left) { return left < SIDE ? left : SIDE; }

/* Copy bytes to where `at` bytes come before them. */
static void put(const copy_t *c, size_t at, const char *data, size_t bytes)
{
    if (c->frame)
        NAME(into_frame)(c->frame, (uintptr_t)c->to + at, data, bytes);
    else
        stream(c->to + at, data, bytes);
}

/* Turn some rows at once: whole ones where the first cache holds them, of wider ones parts that do not share its lines. */
static void strips(const copy_t *c, size_t at, const char *from)
{
    char held[32 << 10];
    size_t row = c->columns * c->item, most = SIDE * row > sizeof held ? 8 * SIDE : c->columns;
    for (size_t k = 0, height; k < c->rows; k += height) {
        height = side_of(c->rows - k);
        for (size_t j = 0, width; j < c->columns; j += width) {
            width = c->columns - j < most ? c->columns - j : most;
            size_t wide = width * c->item, first = at + k * row + j * c->item;
            turned(c, held, wide, from + (int64_t)j * c->column_stride + (int64_t)k * c->row_stride, height, width);
            if (wide == row)
                put(c, first, held, height * row);
            else
                for (size_t l = 0; l < height; l++)
                    put(c, first + l * row, held + l * wide, wide);
        }
    }
}

/* Bytes at once that leave the caches to others, and may be read again from there. */
enum { LITTLE = 64 << 10 };

static void one(const copy_t *c)
{
    size_t row = c->columns * c->item, block = c->rows * row;
    int whole = c->column_stride == (int64_t)c->item;
    for (size_t i = 0; i < c->outer; i++) {
        size_t at = i * block;
        const char *from = c->from + (int64_t)i * c->outer_stride;
        if (!whole)
            strips(c, at, from);
        else if (c->row_stride != (int64_t)row)
            for (size_t k = 0; k < c->rows; k++)
                put(c, at + k * row, from + (int64_t)k * c->row_stride, row);
        else if (block < LITTLE && !c->frame)
            memcpy(c->to + at, from, block);
        else
            put(c, at, from, block);
    }
}

EXPORTED void NAME(copy)(const copy_t *copies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        one(copies + i);
    written();
}

/* Copy what is read again at once, and so stays in the caches: each row to `apart` bytes after the one before, with all that
   has its place along `outer`. */
EXPORTED void NAME(turn)(const copy_t *c, size_t apart)
{
    for (size_t i = 0; i < c->outer; i++) {
        char *to = c->to + i * c->columns * c->item;
        const char *from = c->from + (int64_t)i * c->outer_stride;
        int whole = c->column_stride == (int64_t)c->item; /* as in rows from the last to the first */
        for (size_t k = 0; whole && k < c->rows; k++)
            memcpy(to + k * apart, from + (int64_t)k * c->row_stride, c->columns * c->item);
        for (size_t j = 0, width; !whole && j < c->columns; j += width) {
            width = side_of(c->columns - j);
            for (size_t k = 0, height; k < c->rows; k += height) {
                height = side_of(c->rows - k);
                turned(c, to + k * apart + j * c->item, apart,
                       from + (int64_t)j * c->column_stride + (int64_t)k * c->row_stride, height, width);
            }
        }
    }
}

enum { AT_ONCE = 1024, INFINITE = 0x7f800000, MAGNITUDE = 0x7fffffff }; /* values at once; bits of float32 */

/* By whole numbers, since whoever calls may have told the processor to take subnormal floats for 0. */
static uint32_t of_half(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    if (bits >= 0x7c00u << 13)
        return sign | INFINITE | bits | (uint32_t)(bits > 0x7c00u << 13) << 22;
    if (bits >= 1u << 23)
        return sign | (bits + (112u << 23));
    float value = (float)bits * 0x1p-37f; /* of 10 bits, exactly */
    memcpy(&bits, &value, 4);
    return sign | bits;
}

static uint16_t to_half(uint32_t bits)
{
    uint32_t sign = bits >> 16 & 0x8000, size = bits & MAGNITUDE;
    if (size > INFINITE)
        return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x3ff));
    if (size >= 143u << 23)
        return (uint16_t)(sign | 0x7c00);
    if (size >= 113u << 23)
        return (uint16_t)(sign | (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13);
    if (size < 102u << 23)
        return (uint16_t)sign;
    uint32_t whole = (size & 0x7fffff) | 1u << 23, drop = 126 - (size >> 23), half = 1u << (drop - 1);
    return (uint16_t)(sign | (whole + half - 1 + (whole >> drop & 1)) >> drop);
}

static uint16_t to_brain(uint32_t bits)
{
    uint32_t nan = (bits & MAGNITUDE) > INFINITE;
    return (uint16_t)(nan ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void widen(uint32_t *to, const char *from, size_t kind, size_t count)
{
    uint16_t held[AT_ONCE];
    if (kind == FLOAT32) {
        memcpy(to, from, 4 * count);
        return;
    }
    memcpy(held, from, 2 * count);
    if (kind == BFLOAT16)
        for (size_t i = 0; i < count; i++)
            to[i] = (uint32_t)held[i] << 16;
    else {
        size_t i = 0;
#if defined(__F16C__)
        for (; i + 8 <= count; i += 8)
            _mm256_storeu_ps((float *)(to + i), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(held + i))));
#endif
        for (; i < count; i++)
            to[i] = of_half(held[i]);
    }
}

static void narrow(uint16_t *to, const uint32_t *from, size_t kind, size_t count)
{
    size_t i = 0;
    if (kind == BFLOAT16) {
        for (; i < count; i++)
            to[i] = to_brain(from[i]);
        return;
    }
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i *)(to + i), _mm256_cvtps_ph(_mm256_loadu_ps((const float *)(from + i)), 0));
#endif
    for (; i < count; i++)
        to[i] = to_half(from[i]);
}

/* Magnitudes from `most` on are infinite when they are rounded, and up to `least` they are 0. */
static void count_lost(lost_t *lost, const uint32_t *values, size_t count, int32_t most, int32_t least)
{
    int32_t over = 0, gone = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t size = (int32_t)(values[i] & MAGNITUDE), finite = size < INFINITE ? size : 0;
        over += finite >= most;
        gone += (size > 0) & (size <= least);
        largest = finite > largest ? finite : largest;
    }
    float found;
    memcpy(&found, &largest, 4);
    lost->over += over;
    lost->gone += gone;
    lost->largest = found > lost->largest ? found : lost->largest;
}

/* Copy values of one float type to another, to nearest, ties to even. */
EXPORTED void NAME(rounded)(char *to, size_t kind, const char *from, size_t given, size_t count, lost_t *lost)
{
    uint32_t wide[AT_ONCE];
    uint16_t held[AT_ONCE];
    size_t item = kind == FLOAT32 ? 4 : 2, read = given == FLOAT32 ? 4 : 2;
    for (size_t n; count; count -= n, to += n * item, from += n * read) {
        n = count < AT_ONCE ? count : AT_ONCE;
        widen(wide, from, given, n);
        if (kind == FLOAT32) {
            stream(to, (const char *)wide, 4 * n);
            continue;
        }
        count_lost(lost, wide, n, kind == FLOAT16 ? 0x477ff000 : 0x7f7f8000, kind == FLOAT16 ? 0x33000000 : 0x8000);
        narrow(held, wide, kind, n);
        stream(to, (const char *)held, 2 * n);
    }
    written();
}
