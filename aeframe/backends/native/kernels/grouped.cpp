// Convolutions of many narrow groups, with as many channels out as in: x (n, h, w, c),
// weight (kh, kw, m, c), y (n, oh, ow, c), where m = c / groups divides WIDTH or is a multiple of it.
//
// Products of such narrow matrices would leave most of a vector empty. Instead a vector is a strip of
// WIDTH channels of a pixel: lane l of the output is the sum over taps and i < m of
//
//     x[pixel under the tap, ⌊l / m⌋ m + i] · weight[tap, i, l].
//
// The inputs of a band of rows are spread first: m vectors for each pixel, of which vector i has
// channel ⌊l / m⌋ m + i in lane l, zero where the padding is. What is left are sums of products of
// whole vectors.
#include <array>
#include <utility>

#include "kernel.h"
#include "operands.h"
#include "shape.h"

namespace {

constexpr int64_t SPREAD = 1 << 16;  // floats: a band stays in the second cache
constexpr int MOST_PIXELS = 2 * ROWS;

// A strip of channels of a band of output rows of one image.
struct Band {
  const Shape& s;
  int64_t image, channel, size;  // its first channel, how many there are
  Range rows;

  int64_t m() const { return s.in(); }
  int64_t wide() const { return (s.ow - 1) * s.sw + (s.kw - 1) * s.dw + 1; }
  static int64_t high(const Shape& s, int64_t rows) {
    return (rows - 1) * s.sh + (s.kh - 1) * s.dh + 1;
  }
  // Floats from one pixel of the spread inputs to the next.
  int64_t step() const { return m() * WIDTH; }
};

// Channel ⌊l / M⌋ M + i in lane l.
template <int M, std::size_t... L>
Vector chosen(Vector x, int i, std::index_sequence<L...>) {
  return Vector{x[L / M * M + i]...};
}

template <int M>
void spread_pixel(Vector x, float* to) {
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    vector_at(to + i * WIDTH) = chosen<M>(x, i, std::make_index_sequence<WIDTH>());
  }
}

// The same where a group has many strips: each of its channels in all lanes.
void spread_group(const float* from, int64_t m, float* to) {
  for (int64_t i = 0; i < m; ++i) vector_at(to + i * WIDTH) = Vector{} + from[i];
}

void spread_pixel(const Band& b, const float* x, float* to) {
  const int64_t m = b.m();
  if (m > WIDTH) return spread_group(x + b.channel / m * m, m, to);
  const Vector here = load(x + b.channel, b.size);
  switch (m) {
    case 1: return spread_pixel<1>(here, to);
    case 2: return spread_pixel<2>(here, to);
    case 4: return spread_pixel<4>(here, to);
    case 8: return spread_pixel<std::min(8, WIDTH)>(here, to);
    default: return spread_pixel<std::min(16, WIDTH)>(here, to);
  }
}

void spread(const Band& b, const float* x, float* to) {
  const Shape& s = b.s;
  const int64_t line = b.wide() * b.step();
  for (int64_t i = 0; i < Band::high(s, b.rows.size()); ++i, to += line) {
    const int64_t y = b.rows.begin * s.sh + i - s.top;
    const Range inside{std::min(s.left, b.wide()), std::min(s.left + s.w, b.wide())};
    if (y < 0 || y >= s.h) {
      std::fill(to, to + line, 0.0f);
      continue;
    }
    std::fill(to, to + inside.begin * b.step(), 0.0f);
    std::fill(to + inside.end * b.step(), to + line, 0.0f);
    const float* from = x + ((b.image * s.h + y) * s.w - s.left) * s.c;
    for (int64_t p = inside.begin; p < inside.end; ++p) {
      spread_pixel(b, from + p * s.c, to + p * b.step());
    }
  }
}

// R neighbours of an output row, from the spread input under the first tap of the first.
template <int R>
void pixels(const Band& b, const float* in, const float* weight, Vector bias, float* const* row) {
  const Shape& s = b.s;
  const int64_t next = s.sw * b.step();
  Vector sum[R];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r) sum[r] = bias;
  for (int64_t u = 0; u < s.kh; ++u) {
    for (int64_t v = 0; v < s.kw; ++v) {
      const float* tap = in + (u * s.dh * b.wide() + v * s.dw) * b.step();
      for (int64_t i = 0; i < b.m(); ++i, tap += WIDTH, weight += WIDTH) {
        const Vector here = vector_at(weight);
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r) sum[r] += vector_at(tap + r * next) * here;
      }
    }
  }
  float all[R * WIDTH];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r) vector_at(all + r * WIDTH) = sum[r];
  for (int r = 0; r < R; ++r) store(row[r] + b.channel, vector_at(all + r * WIDTH), b.size);
}

using Pixels = void (*)(const Band&, const float*, const float*, Vector, float* const*);

template <std::size_t... R>
constexpr std::array<Pixels, MOST_PIXELS> all_pixels(std::index_sequence<R...>) {
  return {pixels<R + 1>...};
}

// The band's outputs, from its spread inputs.
void convolve_band(const Band& b, const float* in, const float* weight, const Epilogue& last,
                   float* y) {
  static constexpr auto some = all_pixels(std::make_index_sequence<MOST_PIXELS>());
  const Shape& s = b.s;
  const Vector bias = last.bias ? load(last.bias + b.channel, b.size) : Vector{};
  const int64_t pieces = ceil_div(s.ow, MOST_PIXELS);
  float* row[MOST_PIXELS];
  for (int64_t i = b.rows.begin; i < b.rows.end; ++i) {
    const float* line = in + (i - b.rows.begin) * s.sh * b.wide() * b.step();
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const Range x = piece_of(s.ow, pieces, 1, piece);
      for (int64_t r = 0; r < x.size(); ++r) {
        row[r] = y + ((b.image * s.oh + i) * s.ow + x.begin + r) * s.c;
      }
      some[x.size() - 1](b, line + x.begin * s.sw * b.step(), weight, bias, row);
      if (last.more()) finish(row, x.size(), b.channel, b.size, last);
    }
  }
}

// How many output rows of a strip are done at a time.
int64_t band_rows(const Shape& s, int64_t strips) {
  const int64_t line = ((s.ow - 1) * s.sw + (s.kw - 1) * s.dw + 1) * s.in() * WIDTH;
  const int64_t fit = std::max<int64_t>(1, (SPREAD / line - (s.kh - 1) * s.dh - 1) / s.sh + 1);
  const int64_t bands = std::max(ceil_div(s.oh, fit), ceil_div(4 * team_size(), s.n * strips));
  return ceil_div(s.oh, std::min(bands, s.oh));
}

}  // namespace

// x, weight[, bias][, addend] → y. Sizes: the shape, then those of the epilogue.
KERNEL(convolve_grouped) {
  const Shape s(call.n);
  const Epilogue last = epilogue(call, call.n + Shape::size);
  const int64_t strips = ceil_div(s.c, WIDTH), rows = band_rows(s, strips);
  const int64_t bands = ceil_div(s.oh, rows), lines = s.taps() * s.in();
  parallel(s.n * strips * bands, [&](int64_t task) {
    const int64_t channel = task / bands % strips * WIDTH, begin = task % bands * rows;
    const Band band{s, task / bands / strips, channel, std::min<int64_t>(WIDTH, s.c - channel),
                    {begin, std::min(s.oh, begin + rows)}};
    float* weight = room(lines * WIDTH + Band::high(s, rows) * band.wide() * band.step());
    float* in = weight + lines * WIDTH;
    for (int64_t k = 0; k < lines; ++k) {
      vector_at(weight + k * WIDTH) = load(call.in(1) + k * s.c + channel, band.size);
    }
    spread(band, call.in(0), in);
    if (!getenv("NOBAND")) convolve_band(band, in, weight, last, call.out(0));
  });
}
