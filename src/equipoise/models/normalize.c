/* Normalisation with the activation that follows, forward and backward, two passes over memory each; see fused.py.
 *
 * A map is (segments, rows, channels) without gaps: channels are fastest, a row is a pixel, and a segment is what shares
 * a mean and a variance: the whole batch, or one case. Values are float32, or bfloat16 where HALF is defined; sums and
 * statistics are float32 within a chunk of rows and double beyond. Chunks do not depend on the number of threads, so
 * neither do results. The activation is y where y > 0, else slope * y: 0 is ReLU, 1 is none.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define VECTOR _Pragma("omp simd")
#define CHUNK 128 /* rows */
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

INLINE value store(float x) /* to the nearest, halves to even; what is not a number stays so */
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

/* Sums and sums of squares of the differences from `about` over n rows. */
INLINE void sums_of(const value *x, const float *about, float *sum, float *square, int64_t n, int64_t channels)
{
    memset(sum, 0, sizeof(float) * channels);
    memset(square, 0, sizeof(float) * channels);
    int64_t r = 0;
    for (; r + 4 <= n; r += 4, x += 4 * channels) {
        const value *x1 = x + channels, *x2 = x1 + channels, *x3 = x2 + channels;
        VECTOR for (int64_t c = 0; c < channels; c++) {
            const float a = load(x[c]) - about[c], b = load(x1[c]) - about[c];
            const float d = load(x2[c]) - about[c], e = load(x3[c]) - about[c];
            sum[c] += (a + b) + (d + e);
            square[c] += (a * a + b * b) + (d * d + e * e);
        }
    }
    for (; r < n; r++, x += channels)
        VECTOR for (int64_t c = 0; c < channels; c++) {
            const float a = load(x[c]) - about[c];
            sum[c] += a;
            square[c] += a * a;
        }
}

/* Mean and 1/sqrt(variance + eps) of every channel of every segment: each (segments, channels). Returns 0, or 1
 * where there is no memory. */
int statistics(const value *x, float *mean, float *inverse, double *variance, const Shape *s)
{
    const int64_t channels = s->channels, chunks = chunks_of(s), all = s->segments * chunks;
    float *about = malloc(sizeof(float) * channels * (s->segments + 2 * all)), *parts = about + channels * s->segments;
    if (!about)
        return 1;
    for (int64_t k = 0; k < s->segments; k++) /* squares about a value of the channel lose no digits to its mean */
        for (int64_t c = 0; c < channels; c++)
            about[k * channels + c] = load(x[k * s->rows * channels + c]);
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < all; i++) {
        const int64_t k = i / chunks, first = i % chunks * CHUNK, n = smaller(CHUNK, s->rows - first);
        float *part = parts + 2 * channels * i;
        sums_of(x + (k * s->rows + first) * channels, about + k * channels, part, part + channels, n, channels);
    }
    for (int64_t k = 0; k < s->segments; k++)
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0, square = 0;
            for (int64_t i = k * chunks; i < (k + 1) * chunks; i++) {
                sum += parts[2 * channels * i + c];
                square += parts[2 * channels * i + channels + c];
            }
            sum /= (double)s->rows;
            square = square / (double)s->rows - sum * sum;
            square = square > 0 ? square : square != square ? square : 0;
            mean[k * channels + c] = (float)(about[k * channels + c] + sum);
            inverse[k * channels + c] = (float)(1 / sqrt(square + s->eps));
            variance[k * channels + c] = square;
        }
    free(about);
    return 0;
}

/* y = x * scale + shift, then the activation, over n rows. */
INLINE void apply(const value *x, value *y, const float *scale, const float *shift, float slope, int64_t n,
                  int64_t channels)
{
    for (int64_t r = 0; r < n; r++, x += channels, y += channels)
        VECTOR for (int64_t c = 0; c < channels; c++) {
            const float p = load(x[c]) * scale[c] + shift[c];
            y[c] = store(p > 0 ? p : p * slope);
        }
}

/* y = x * scale + shift, where scale = weight * inverse and shift = bias - mean * scale. */
INLINE void line_of(float *scale, float *shift, const float *mean, const float *inverse, const float *weight,
                    const float *bias, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        scale[c] = weight[c] * inverse[c];
        shift[c] = bias[c] - mean[c] * scale[c];
    }
}

int forward(const value *x, value *y, const float *mean, const float *inverse, const float *weight, const float *bias,
            const Shape *s)
{
    const int64_t channels = s->channels, chunks = chunks_of(s);
    const float slope = s->slope;
    float *lines = malloc(sizeof(float) * 2 * channels * s->segments);
    if (!lines)
        return 1;
    for (int64_t k = 0; k < s->segments; k++) {
        float *line = lines + 2 * channels * k;
        line_of(line, line + channels, mean + k * channels, inverse + k * channels, weight, bias, channels);
    }
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < s->segments * chunks; i++) {
        const int64_t k = i / chunks, first = i % chunks * CHUNK, n = smaller(CHUNK, s->rows - first);
        const float *scale = lines + 2 * channels * k, *shift = scale + channels;
        const int64_t start = (k * s->rows + first) * channels;
        apply(x + start, y + start, scale, shift, slope, n, channels);
    }
    free(lines);
    return 0;
}

/* Sums of the gradient before the activation, and of it times (x - mean), over n rows. */
INLINE void pulls_of(const value *x, const value *g, const float *scale, const float *shift, const float *mean,
                     float slope, float *pull, float *tilt, int64_t n, int64_t channels)
{
    memset(pull, 0, sizeof(float) * channels);
    memset(tilt, 0, sizeof(float) * channels);
    for (int64_t r = 0; r < n; r++, x += channels, g += channels)
        VECTOR for (int64_t c = 0; c < channels; c++) {
            const float v = load(x[c]), raw = load(g[c]), before = v * scale[c] + shift[c] > 0 ? raw : raw * slope;
            pull[c] += before;
            tilt[c] += before * (v - mean[c]);
        }
}

/* The gradient of x from the gradient g, over n rows. */
INLINE void pull_back(const value *x, const value *g, value *of_x, const float *scale, const float *shift,
                      const float *along, const float *offset, float slope, int64_t n, int64_t channels)
{
    for (int64_t r = 0; r < n; r++, x += channels, g += channels, of_x += channels)
        VECTOR for (int64_t c = 0; c < channels; c++) {
            const float v = load(x[c]), raw = load(g[c]), before = v * scale[c] + shift[c] > 0 ? raw : raw * slope;
            of_x[c] = store(before * scale[c] + (v * along[c] + offset[c]));
        }
}

/* Gradients of x, of the weight and of the bias (sums over segments). */
int backward(const value *x, const value *g, value *of_x, const float *mean, const float *inverse, const float *weight,
             const float *bias, float *of_weight, float *of_bias, const Shape *s)
{
    const int64_t channels = s->channels, chunks = chunks_of(s), all = s->segments * chunks;
    const float slope = s->slope;
    float *lines = malloc(sizeof(float) * channels * (4 * s->segments + 2 * all));
    float *parts = lines + 4 * channels * s->segments;
    if (!lines)
        return 1;
    for (int64_t k = 0; k < s->segments; k++) {
        float *line = lines + 4 * channels * k;
        line_of(line, line + channels, mean + k * channels, inverse + k * channels, weight, bias, channels);
    }
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < all; i++) {
        const int64_t k = i / chunks, first = i % chunks * CHUNK, n = smaller(CHUNK, s->rows - first);
        const int64_t start = (k * s->rows + first) * channels;
        const float *line = lines + 4 * channels * k;
        float *part = parts + 2 * channels * i;
        pulls_of(x + start, g + start, line, line + channels, mean + k * channels, slope, part, part + channels, n,
                 channels);
    }
    memset(of_weight, 0, sizeof(float) * channels);
    memset(of_bias, 0, sizeof(float) * channels);
    for (int64_t k = 0; k < s->segments; k++) {
        float *scale = lines + 4 * channels * k, *along = scale + 2 * channels, *offset = along + channels;
        for (int64_t c = 0; c < channels; c++) {
            const double m = mean[k * channels + c], inv = inverse[k * channels + c];
            double pull = 0, tilt = 0;
            for (int64_t i = k * chunks; i < (k + 1) * chunks; i++) {
                pull += parts[2 * channels * i + c];
                tilt += parts[2 * channels * i + channels + c];
            }
            of_weight[c] += (float)(tilt * inv);
            of_bias[c] += (float)pull;
            const double slant = -scale[c] * inv * inv * tilt / (double)s->rows;
            along[c] = (float)slant;
            offset[c] = (float)(-scale[c] * pull / (double)s->rows - m * slant);
        }
    }
#pragma omp parallel for num_threads(team(s)) schedule(static)
    for (int64_t i = 0; i < all; i++) {
        const int64_t k = i / chunks, first = i % chunks * CHUNK, n = smaller(CHUNK, s->rows - first);
        const int64_t start = (k * s->rows + first) * channels;
        const float *scale = lines + 4 * channels * k, *shift = scale + channels;
        const float *along = shift + channels, *offset = along + channels;
        pull_back(x + start, g + start, of_x + start, scale, shift, along, offset, slope, n, channels);
    }
    free(lines);
    return 0;
}
