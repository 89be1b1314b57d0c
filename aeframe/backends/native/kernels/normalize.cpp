// Batch normalization over the rows of x (m, c): y = scale (x − μ) / √(σ² + ε) + shift.
#include <cmath>
#include <cstring>

#include "gemm.h"
#include "kernel.h"

namespace {

constexpr int64_t CHUNK = 1024;  // rows that are summed in single precision

// `width` floats and zeros behind them.
Vector load(const float* from, int64_t width) {
  if (width == WIDTH) return vector_at(from);
  Vector v{};
  std::memcpy(&v, from, width * sizeof(float));
  return v;
}

void store(float* to, Vector v, int64_t width) { std::memcpy(to, &v, width * sizeof(float)); }

// Do `body(begin, width)` for the channels in pieces of at most WIDTH.
template <class Body>
void across(int64_t c, Body&& body) {
  for (int64_t j = 0; j < c; j += WIDTH) body(j, std::min<int64_t>(WIDTH, c - j));
}

// Do `body(rows)` for all rows, in chunks.
template <class Body>
void down(int64_t m, Body&& body) {
  parallel(ceil_div(m, CHUNK), [&](int64_t task) {
    body(task, Range{task * CHUNK, std::min(m, (task + 1) * CHUNK)});
  });
}

// What a backward and a forward pass need to know of each channel.
struct Moments {
  int64_t c;
  Buffer buffer;
  float* mean() const { return buffer.get(); }
  float* variance() const { return buffer.get() + c; }
  float* sum_g() const { return buffer.get() + 2 * c; }      // Σ g
  float* sum_gx() const { return buffer.get() + 3 * c; }     // Σ g (x − μ)
};

// The moments of x and, unless g is null, its sums with g: one pass. Entries are taken from the
// first row of x, so that a large mean costs no digits of the variance.
template <bool Backward>
Moments moments(int64_t m, int64_t c, const float* x, const float* g) {
  constexpr int kinds = Backward ? 4 : 2;
  const int64_t chunks = ceil_div(m, CHUNK);
  const Buffer sums(chunks * kinds * c);
  down(m, [&](int64_t task, Range rows) {
    float* mine = sums.get() + task * kinds * c;
    across(c, [&](int64_t j, int64_t width) {
      const Vector origin = load(x + j, width);
      Vector s{}, ss{}, t{}, ts{};
      for (int64_t r = rows.begin; r < rows.end; ++r) {
        const Vector d = load(x + r * c + j, width) - origin;
        s += d;
        ss += d * d;
        if (!Backward) continue;
        const Vector u = load(g + r * c + j, width);
        t += u;
        ts += u * d;
      }
      const Vector all[] = {s, ss, t, ts};
      for (int k = 0; k < kinds; ++k) store(mine + k * c + j, all[k], width);
    });
  });
  Moments found{c, Buffer(4 * c)};
  for (int64_t j = 0; j < c; ++j) {
    double total[4] = {};
    for (int64_t task = 0; task < chunks; ++task) {
      for (int k = 0; k < kinds; ++k) total[k] += sums.get()[(task * kinds + k) * c + j];
    }
    const double mean = total[0] / m;
    found.mean()[j] = x[j] + mean;
    found.variance()[j] = std::max(0.0, total[1] / m - mean * mean);
    found.sum_g()[j] = total[2];
    found.sum_gx()[j] = total[3] - mean * total[2];
  }
  return found;
}

}  // namespace

// x, scale, shift, mean, variance → y, next mean, next variance. Sizes: m, c. Reals: momentum, ε.
KERNEL(batch_norm) {
  const int64_t m = call.n[0], c = call.n[1];
  const float *x = call.in(0), *scale = call.in(1), *shift = call.in(2);
  const Moments found = moments<false>(m, c, x, nullptr);
  const Buffer factors(c);
  float* by = factors.get();
  for (int64_t j = 0; j < c; ++j) {
    by[j] = scale[j] / std::sqrt(found.variance()[j] + call.h[1]);
    const float keep = call.h[0], take = 1 - call.h[0];
    call.out(1)[j] = keep * call.in(3)[j] + take * found.mean()[j];
    call.out(2)[j] = keep * call.in(4)[j] + take * found.variance()[j];
  }
  down(m, [&](int64_t, Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const float *from = x + r * c, *mean = found.mean();
      float* y = call.out(0) + r * c;
#pragma GCC ivdep
      for (int64_t j = 0; j < c; ++j) y[j] = (from[j] - mean[j]) * by[j] + shift[j];
    }
  });
}

// x, scale, g → gradients of x, scale, shift, as far as they are wanted. Sizes: m, c, then which
// output each of the three is, or -1. Reals: ε.
//
// With x̂ = (x − μ)/s and s = √(σ² + ε): dscale = Σ g x̂, dshift = Σ g,
// dx = scale/s (g − Σ g / m − x̂ Σ g x̂ / m)  (Ioffe and Szegedy 2015, section 3).
KERNEL(batch_norm_gradient) {
  const int64_t m = call.n[0], c = call.n[1];
  const float *x = call.in(0), *scale = call.in(1), *g = call.in(2);
  float *dx = call.wanted(2), *dscale = call.wanted(3), *dshift = call.wanted(4);
  const Moments found = moments<true>(m, c, x, g);
  const Buffer factors(3 * c);
  float *by_g = factors.get(), *by_x = by_g + c, *plus = by_x + c;
  for (int64_t j = 0; j < c; ++j) {
    const double inverse = 1 / std::sqrt(found.variance()[j] + call.h[0]);
    const double with_x = found.sum_gx()[j] * inverse;
    if (dscale) dscale[j] = with_x;
    if (dshift) dshift[j] = found.sum_g()[j];
    by_g[j] = scale[j] * inverse;
    by_x[j] = -scale[j] * inverse * inverse * with_x / m;
    plus[j] = -scale[j] * inverse * found.sum_g()[j] / m;
  }
  if (!dx) return;
  down(m, [&](int64_t, Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const float *from = x + r * c, *u = g + r * c, *mean = found.mean();
      float* to = dx + r * c;
#pragma GCC ivdep
      for (int64_t j = 0; j < c; ++j) {
        to[j] = by_g[j] * u[j] + by_x[j] * (from[j] - mean[j]) + plus[j];
      }
    }
  });
}
