/* Normalisation with the activation that follows, forward and backward, two passes over memory each; see normalize.py.
 *
 * A map is (segments, rows, channels) without gaps: channels are fastest, a row is a pixel, and a segment shares
 * a mean and a variance: the whole batch, or one case. Values are float32, or bfloat16 where HALF is defined; sums and
 * statistics are float32 within a chunk of rows and double beyond. Chunks do not depend on the number of threads, so
 * neither do results. The activation is y where y > 0, else slope * y: 0 is ReLU, 1 is none.
 *
 * Few channels fill no vector: then several adjacent rows are processed as one wide row, whose numbers of every
 * channel are repeated.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define VECTOR _Pragma("omp simd")
#define CHUNK 128 /* rows */
#define WIDE 128 /* values of a wide row, at most, where there are fewer channels */
#define SMALL 20000 /* values; below this a second thread costs more than it saves */

#ifdef HALF
typedef uint16_t value;

INLINE float load(value v)
{
    const uint32_t bits = (uint32_t)v << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

INLINE value store(float x) /* to the nearest, halves to even; NaN stays NaN */
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (value)((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}
#else
typedef float value;
INLINE float load(value v) { return v; }
INLINE value store(float x) { return x; }
#endif

typedef struct {
    int64_t segments, rows, channels;
    int32_t threads;
    float slope, eps;
} Shape;

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t chunks_of(const Shape *s) { return (s->rows + CHUNK - 1) / CHUNK; }
INLINE int team(const Shape *s) { return s->segments * s->rows * s->channels < SMALL ? 1 : s->threads; }

INLINE int64_t width_of(const Shape *s)
{
    int64_t rows = 1;
    while (rows < CHUNK && 2 * rows * s->channels <= WIDE)
        rows *= 2;
    return rows * s->channels;
}

INLINE void repeat(float *numbers, int64_t channels, int64_t width)
{
    for (int64_t i = channels; i < width; i++)
        numbers[i] = numbers[i - channels];
}

typedef struct { /* where a chunk of rows lies, in values, and which segment it belongs to */
    int64_t segment, start, count;
} Chunk;

INLINE Chunk chunk_of(int64_t i, const Shape *s)
{
    const int64_t chunks = chunks_of(s), k = i / chunks, first = i % chunks * CHUNK;
    const Chunk chunk = {k, (k * s->rows + first) * s->channels, smaller(CHUNK, s->rows - first) * s->channels};
    return chunk;
}

/* Two sums of every place of a wide row, added up over the chunks of a segment and the rows of a wide row. */
INLINE void collect(double *first, double *second, const float *parts, int64_t segment, int64_t c, int64_t width,
                    const Shape *s)
{
    const int64_t chunks = chunks_of(s);
    *first = *second = 0;
    for (int64_t i = segment * chunks; i < (segment + 1) * chunks; i++)
        for (int64_t j = c; j < width; j += s->channels) {
            *first += parts[2 * width * i + j];
            *second += parts[2 * width * i + width + j];
        }
}

/* Sums and sums of squares of the differences from `about`, over the values of a chunk. */
INLINE void sums_of(const value *x, const float *about, float *sum, float *square, int64_t count, int64_t width)
{
    memset(sum, 0, sizeof(float) * width);
    memset(square, 0, sizeof(float) * width);
    for (; count >= 4 * width; count -= 4 * width, x += 4 * width) {
        const value *x1 = x + width, *x2 = x1 + width, *x3 = x2 + width;
        VECTOR for (int64_t c = 0; c < width; c++) {
            const float a = load(x[c]) - about[c], b = load(x1[c]) - about[c];
            const float d = load(x2[c]) - about[c], e = load(x3[c]) - about[c];
            sum[c] += (a + b) + (d + e);
            square[c] += (a * a + b * b) + (d * d + e * e);
        }
    }
    for (; count > 0; count -= width, x += width) {
        const int64_t n = smaller(count, width);
        VECTOR for (int64_t c = 0; c < n; c++) {
            const float a = load(x[c]) - about[c];
            sum[c] += a;
            square[c] += a * a;
        }
    }
}

/* Mean and 1/sqrt(variance + eps) of every channel of every segment: each (segments, channels). Returns 0, or 1
 * where there is no memory. */
int statistics(const value *x, float *mean, float *inverse, double *variance, const Shape *s)
{
    const int64_t channels = s->channels, width = width_of(s), all = s->segments * chunks_of(s);
    float *about = malloc(sizeof(float) * width * (s->segments + 2 * all)), *parts = about + width * s->segments;
    if (!about)
        return 1;
    for (int64_t k = 0; k < s->segments; k++) { /* squares about a value of the channel lose no digits to its mean */
        for (int64_t c = 0; c < channels; c++)
            about[k * width + c] = load(x[k * s->rows * channels + c]);
        repeat(about + k * width, channels, width);
    }
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < all; i++) {
        const Chunk at = chunk_of(i, s);
        float *part = parts + 2 * width * i;
        sums_of(x + at.start, about + at.segment * width, part, part + width, at.count, width);
    }
    for (int64_t k = 0; k < s->segments; k++)
        for (int64_t c = 0; c < channels; c++) {
            double sum, square;
            collect(&sum, &square, parts, k, c, width, s);
            sum /= (double)s->rows;
            square = square / (double)s->rows - sum * sum;
            square = square < 0 ? 0 : square;
            mean[k * channels + c] = (float)(about[k * width + c] + sum);
            inverse[k * channels + c] = (float)(1 / sqrt(square + s->eps));
            variance[k * channels + c] = square;
        }
    free(about);
    return 0;
}

/* y = x * scale + shift, then the activation, over the values of a chunk. */
INLINE void apply(const value *x, value *y, const float *scale, const float *shift, float slope, int64_t count,
                  int64_t width)
{
    for (; count > 0; count -= width, x += width, y += width) {
        const int64_t n = smaller(count, width);
        VECTOR for (int64_t c = 0; c < n; c++) {
            const float p = load(x[c]) * scale[c] + shift[c];
            y[c] = store(p > 0 ? p : p * slope);
        }
    }
}

/* y = x * scale + shift, where scale = weight * inverse and shift = bias - mean * scale. */
INLINE void line_of(float *scale, float *shift, const float *mean, const float *inverse, const float *weight,
                    const float *bias, int64_t channels, int64_t width)
{
    for (int64_t c = 0; c < channels; c++) {
        scale[c] = weight[c] * inverse[c];
        shift[c] = bias[c] - mean[c] * scale[c];
    }
    repeat(scale, channels, width);
    repeat(shift, channels, width);
}

int forward(const value *x, value *y, const float *mean, const float *inverse, const float *weight, const float *bias,
            const Shape *s)
{
    const int64_t channels = s->channels, width = width_of(s);
    float *lines = malloc(sizeof(float) * 2 * width * s->segments);
    if (!lines)
        return 1;
    for (int64_t k = 0; k < s->segments; k++) {
        float *line = lines + 2 * width * k;
        line_of(line, line + width, mean + k * channels, inverse + k * channels, weight, bias, channels, width);
    }
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < s->segments * chunks_of(s); i++) {
        const Chunk at = chunk_of(i, s);
        const float *scale = lines + 2 * width * at.segment;
        apply(x + at.start, y + at.start, scale, scale + width, s->slope, at.count, width);
    }
    free(lines);
    return 0;
}

/* Sums of the gradient before the activation, and of it times (x - mean), over the values of a chunk. */
INLINE void pulls_of(const value *x, const value *g, const float *scale, const float *shift, const float *mean,
                     float slope, float *pull, float *tilt, int64_t count, int64_t width)
{
    memset(pull, 0, sizeof(float) * width);
    memset(tilt, 0, sizeof(float) * width);
    for (; count >= 2 * width; count -= 2 * width, x += 2 * width, g += 2 * width) {
        const value *x1 = x + width, *g1 = g + width;
        VECTOR for (int64_t c = 0; c < width; c++) {
            const float v = load(x[c]), raw = load(g[c]), before = v * scale[c] + shift[c] > 0 ? raw : raw * slope;
            const float v1 = load(x1[c]), raw1 = load(g1[c]);
            const float before1 = v1 * scale[c] + shift[c] > 0 ? raw1 : raw1 * slope;
            pull[c] += before + before1;
            tilt[c] += before * (v - mean[c]) + before1 * (v1 - mean[c]);
        }
    }
    for (; count > 0; count -= width, x += width, g += width) {
        const int64_t n = smaller(count, width);
        VECTOR for (int64_t c = 0; c < n; c++) {
            const float v = load(x[c]), raw = load(g[c]), before = v * scale[c] + shift[c] > 0 ? raw : raw * slope;
            pull[c] += before;
            tilt[c] += before * (v - mean[c]);
        }
    }
}

/* The gradient of x from the gradient g, over the values of a chunk. */
INLINE void pull_back(const value *x, const value *g, value *of_x, const float *scale, const float *shift,
                      const float *along, const float *offset, float slope, int64_t count, int64_t width)
{
    for (; count > 0; count -= width, x += width, g += width, of_x += width) {
        const int64_t n = smaller(count, width);
        VECTOR for (int64_t c = 0; c < n; c++) {
            const float v = load(x[c]), raw = load(g[c]), before = v * scale[c] + shift[c] > 0 ? raw : raw * slope;
            of_x[c] = store(before * scale[c] + (v * along[c] + offset[c]));
        }
    }
}

/* What the two sums of a channel mean: its share in the weight's and bias's gradients, and the line in x that the
 * gradient of x takes beside scale * gradient. */
INLINE void settle(float *of_weight, float *of_bias, float *along, float *offset, double pull, double tilt, double mean,
                   double inverse, double scale, double rows)
{
    const double slant = -scale * inverse * inverse * tilt / rows;
    *of_weight += (float)(tilt * inverse);
    *of_bias += (float)pull;
    *along = (float)slant;
    *offset = (float)(-scale * pull / rows - mean * slant);
}

enum { SCALE, SHIFT, MEAN, ALONG, OFFSET, NUMBERS };

/* Gradients of x, of the weight and of the bias (sums over segments). */
int backward(const value *x, const value *g, value *of_x, const float *mean, const float *inverse, const float *weight,
             const float *bias, float *of_weight, float *of_bias, const Shape *s)
{
    const int64_t channels = s->channels, width = width_of(s), all = s->segments * chunks_of(s);
    float *numbers = malloc(sizeof(float) * width * (NUMBERS * s->segments + 2 * all));
    float *parts = numbers + NUMBERS * width * s->segments;
    if (!numbers)
        return 1;
    for (int64_t k = 0; k < s->segments; k++) {
        float *own = numbers + NUMBERS * width * k;
        const float *m = mean + k * channels;
        line_of(own + SCALE * width, own + SHIFT * width, m, inverse + k * channels, weight, bias, channels, width);
        memcpy(own + MEAN * width, m, sizeof(float) * channels);
        repeat(own + MEAN * width, channels, width);
    }
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < all; i++) {
        const Chunk at = chunk_of(i, s);
        const float *own = numbers + NUMBERS * width * at.segment;
        float *part = parts + 2 * width * i;
        pulls_of(x + at.start, g + at.start, own + SCALE * width, own + SHIFT * width, own + MEAN * width, s->slope,
                 part, part + width, at.count, width);
    }
    memset(of_weight, 0, sizeof(float) * channels);
    memset(of_bias, 0, sizeof(float) * channels);
    for (int64_t k = 0; k < s->segments; k++) {
        float *own = numbers + NUMBERS * width * k, *along = own + ALONG * width, *offset = own + OFFSET * width;
        for (int64_t c = 0; c < channels; c++) {
            double pull, tilt;
            collect(&pull, &tilt, parts, k, c, width, s);
            settle(of_weight + c, of_bias + c, along + c, offset + c, pull, tilt, mean[k * channels + c],
                   inverse[k * channels + c], own[SCALE * width + c], (double)s->rows);
        }
        repeat(along, channels, width);
        repeat(offset, channels, width);
    }
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < all; i++) {
        const Chunk at = chunk_of(i, s);
        const float *own = numbers + NUMBERS * width * at.segment;
        pull_back(x + at.start, g + at.start, of_x + at.start, own + SCALE * width, own + SHIFT * width,
                  own + ALONG * width, own + OFFSET * width, s->slope, at.count, width);
    }
    free(numbers);
    return 0;
}
