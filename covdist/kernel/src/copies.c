/* Copies of rows that no one reads soon, past the caches, which belong to whoever computes meanwhile; and the frames of
   chunks that hold rows as they are. */
#include <string.h>
#include "copies.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SIDE = 16, LINE = 64 };

#if defined(__x86_64__)
/* Copy bytes to where they are written without being read before, a cache line at a time. */
static void stream(char *to, const char *from, size_t bytes)
{
    size_t head = (size_t)(-(uintptr_t)to & (LINE - 1));
    head = head < bytes ? head : bytes;
    memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    for (; bytes >= LINE; bytes -= LINE, to += LINE, from += LINE) {
        __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)(from + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(from + 32)), d = _mm_loadu_si128((const __m128i *)(from + 48));
        _mm_stream_si128((__m128i *)to, a);
        _mm_stream_si128((__m128i *)(to + 16), b);
        _mm_stream_si128((__m128i *)(to + 32), c);
        _mm_stream_si128((__m128i *)(to + 48), d);
    }
    memcpy(to, from, bytes);
}
static void written(void) { _mm_sfence(); }
#else
static void stream(char *to, const char *from, size_t bytes) { memcpy(to, from, bytes); }
static void written(void) {}
#endif

/* A square of items whose columns lie apart is read column by column, each a line of the cache, and written row by row. */
#define TURN(type)                                                                                                     \
    static void turned_##type(type held[SIDE][SIDE], const char *from, int64_t column_stride, int64_t row_stride,      \
                              size_t height, size_t width)                                                             \
    {                                                                                                                  \
        for (size_t i = 0; i < width; i++)                                                                             \
            for (size_t l = 0; l < height; l++)                                                                        \
                memcpy(&held[l][i], from + (int64_t)i * column_stride + (int64_t)l * row_stride, sizeof(type));        \
    }
TURN(uint8_t)
TURN(uint16_t)
TURN(uint32_t)
TURN(uint64_t)

#if defined(__SSE2__)
/* Four columns and rows at once, which takes a third of the time. */
static void turned_whole(uint32_t held[SIDE][SIDE], const char *from, int64_t stride)
{
    for (size_t i = 0; i < SIDE; i += 4, from += 4 * stride)
        for (size_t l = 0; l < SIDE; l += 4) {
            __m128 a = _mm_loadu_ps((const float *)(from + 4 * l)), b = _mm_loadu_ps((const float *)(from + stride + 4 * l));
            __m128 c = _mm_loadu_ps((const float *)(from + 2 * stride + 4 * l));
            __m128 d = _mm_loadu_ps((const float *)(from + 3 * stride + 4 * l));
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps((float *)&held[l][i], a);
            _mm_storeu_ps((float *)&held[l + 1][i], b);
            _mm_storeu_ps((float *)&held[l + 2][i], c);
            _mm_storeu_ps((float *)&held[l + 3][i], d);
        }
}
#else
static void turned_whole(uint32_t held[SIDE][SIDE], const char *from, int64_t stride)
{
    turned_uint32_t(held, from, stride, 4, SIDE, SIDE);
}
#endif

#define SQUARES(type)                                                                                                  \
    static void squares_##type(const copy_t *c, char *to, const char *from)                                            \
    {                                                                                                                  \
        type held[SIDE][SIDE];                                                                                         \
        for (size_t k = 0; k < c->rows; k += SIDE) {                                                                   \
            size_t height = c->rows - k < SIDE ? c->rows - k : SIDE;                                                   \
            for (size_t j = 0; j < c->columns; j += SIDE) {                                                            \
                size_t width = c->columns - j < SIDE ? c->columns - j : SIDE;                                          \
                const char *corner = from + (int64_t)j * c->column_stride + (int64_t)k * c->row_stride;                \
                if (sizeof(type) == 4 && height == SIDE && width == SIDE && c->row_stride == 4)                        \
                    turned_whole((uint32_t(*)[SIDE])held, corner, c->column_stride);                                   \
                else                                                                                                   \
                    turned_##type(held, corner, c->column_stride, c->row_stride, height, width);                       \
                for (size_t l = 0; l < height; l++)                                                                    \
                    stream(to + ((k + l) * c->columns + j) * sizeof(type), (const char *)held[l],                      \
                           width * sizeof(type));                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
SQUARES(uint8_t)
SQUARES(uint16_t)
SQUARES(uint32_t)
SQUARES(uint64_t)

static void one(const copy_t *c)
{
    size_t row = c->columns * c->item, block = c->rows * row;
    int whole = c->column_stride == (int64_t)c->item;
    for (size_t i = 0; i < c->outer; i++) {
        char *to = c->to + i * block;
        const char *from = c->from + (int64_t)i * c->outer_stride;
        if (whole && c->row_stride == (int64_t)row)
            stream(to, from, block);
        else if (whole)
            for (size_t k = 0; k < c->rows; k++)
                stream(to + k * row, from + (int64_t)k * c->row_stride, row);
        else if (c->item == 1)
            squares_uint8_t(c, to, from);
        else if (c->item == 2)
            squares_uint16_t(c, to, from);
        else if (c->item == 4)
            squares_uint32_t(c, to, from);
        else
            squares_uint64_t(c, to, from);
    }
}

EXPORTED void NAME(copy)(const copy_t *copies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        one(copies + i);
    written();
}

/* CRC-32C, of Castagnoli's polynomial, bits reflected. */
#if defined(__SSE4_2__)
static uint32_t extended(uint32_t crc, const char *data, size_t bytes)
{
    uint64_t wide = crc;
    for (; bytes >= 8; bytes -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; bytes; bytes--, data++)
        crc = _mm_crc32_u8(crc, (uint8_t)*data);
    return crc;
}
#else
static uint32_t extended(uint32_t crc, const char *data, size_t bytes)
{
    uint32_t of[256];
    for (uint32_t i = 0; i < 256; i++) {
        of[i] = i;
        for (int bit = 0; bit < 8; bit++)
            of[i] = of[i] >> 1 ^ (of[i] & 1 ? 0x82f63b78 : 0);
    }
    for (; bytes; bytes--, data++)
        crc = crc >> 8 ^ of[(crc ^ (uint8_t)*data) & 0xff];
    return crc;
}
#endif

typedef struct {
    char *to;
    uint32_t crc;
} out_t;

static void put(out_t *out, const char *data, size_t bytes)
{
    out->crc = extended(out->crc, data, bytes);
    stream(out->to, data, bytes);
    out->to += bytes;
}

static void put_number(out_t *out, uint64_t number, size_t bytes)
{
    char data[8];
    for (size_t i = 0; i < bytes; i++)
        data[i] = (char)(number >> 8 * i);
    put(out, data, bytes);
}

enum { MOST = 128 << 10, RAW = 0, REPEAT = 1 }; /* bytes of a block, and two kinds of it (RFC 8878, 3.1.1.2) */

/* Write a Zstandard frame of `chunk` bytes, of which the first are given and the others 0, in blocks that are not
   compressed, and its checksum; return how many bytes these take. */
EXPORTED size_t NAME(frame)(char *to, const char *rows, size_t bytes, size_t chunk)
{
    out_t out = {to, ~0u};
    put(&out, "\x28\xb5\x2f\xfd\xe0", 5); /* one segment, whose length follows; no checksum, no dictionary */
    put_number(&out, chunk, 8);
    for (size_t at = 0, size, last; at < chunk; at += size) {
        size_t kind = at < bytes ? RAW : REPEAT, end = kind == RAW ? bytes : chunk;
        size = end - at < MOST ? end - at : MOST, last = at + size == chunk;
        put_number(&out, size << 3 | kind << 1 | last, 3);
        put(&out, kind == RAW ? rows + at : "\0", kind == RAW ? size : 1);
    }
    uint32_t crc = ~out.crc;
    put_number(&out, crc, 4);
    written();
    return (size_t)(out.to - to);
}
