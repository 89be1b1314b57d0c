// The matrix of patches of images: a row for each place of a grid, an entry for each tap and channel.
#pragma once

#include <vector>

#include "operands.h"

struct Images {
  const float* data;
  int64_t n, height, width, stride;  // floats from one pixel to the next
  int64_t first, channels;           // which of a pixel's channels
  const float* end() const { return data + n * height * width * stride; }
};

// Places in an image, `step_y` and `step_x` pixels apart.
struct Grid {
  int64_t rows, columns, step_y, step_x;
};

// A pixel that a patch has, seen from its place; and which entry of the weight it meets.
struct Tap {
  int64_t y, x, weight;
};

// Left operand: row i is the patch at place i, entry p = (tap, channel). Zero outside the images.
struct Patches {
  static constexpr bool deep = false;
  Images images;
  Grid grid;
  std::vector<Tap> taps;
  std::vector<Range> runs;  // taps that lie side by side in memory

  Patches(const Images& images, const Grid& grid, const std::vector<Tap>& taps)
      : images(images), grid(grid), taps(taps) {
    const bool whole = images.channels == images.stride;
    for (int64_t t = 0; t < static_cast<int64_t>(taps.size()); ++t) {
      const bool next = t > 0 && taps[t].y == taps[t - 1].y && taps[t].x == taps[t - 1].x + 1;
      whole && next ? void(++runs.back().end) : runs.push_back({t, t + 1});
    }
  }

  int64_t count() const { return images.n * grid.rows * grid.columns; }
  int64_t depth() const { return static_cast<int64_t>(taps.size()) * images.channels; }

  void pack(float* to, Range i, Range p, int64_t) const {
    each(i, [&](int64_t image, int64_t y, int64_t x) {
      patch(to, image, y, x, p);
      to += LINE;
    });
  }

  // Do `body(image, y, x)` for the places i, in order.
  template <class Body>
  void each(Range i, Body&& body) const {
    int64_t x = i.begin % grid.columns, line = i.begin / grid.columns;
    int64_t y = line % grid.rows, image = line / grid.rows;
    for (int64_t m = i.begin; m < i.end; ++m) {
      body(image, y, x);
      if (++x < grid.columns) continue;
      x = 0;
      if (++y < grid.rows) continue;
      y = 0;
      ++image;
    }
  }

  // Entries p of one patch; up to WIDTH floats behind them are written too.
  void patch(float* to, int64_t image, int64_t y, int64_t x, Range p) const {
    const int64_t c = images.channels;
    for (const Range& run : runs) {
      const int64_t begin = std::max(p.begin, run.begin * c), end = std::min(p.end, run.end * c);
      if (begin >= end) continue;
      const int64_t row = y * grid.step_y + taps[run.begin].y;
      const int64_t column = x * grid.step_x + taps[run.begin].x;
      float* out = to + begin - p.begin;
      if (row < 0 || row >= images.height) {
        std::fill(out, out + end - begin, 0.0f);
        continue;
      }
      // Taps from `inside.begin` to `inside.end` of the run see the image.
      const Range inside{run.begin + std::max<int64_t>(0, -column),
                         std::min(run.end, run.begin + images.width - column)};
      const int64_t a = std::clamp(inside.begin * c, begin, end);
      const int64_t b = std::clamp(inside.end * c, a, end);
      const float* from = images.data + images.first - run.begin * c +
                          ((image * images.height + row) * images.width + column) * images.stride;
      std::fill(out, out + a - begin, 0.0f);
      copy(out + a - begin, from + a, b - a, images.end());
      std::fill(out + b - begin, out + end - begin, 0.0f);
    }
  }
};

// The same transposed: row i is (tap, channel), entry p is the place.
struct PatchesTransposed {
  static constexpr bool deep = true;
  Patches all;

  void pack(float* to, Range i, Range p, int64_t r) const {
    float line[BLOCK + WIDTH];
    int64_t q = 0;
    all.each(p, [&](int64_t image, int64_t y, int64_t x) {
      all.patch(line, image, y, x, i);
      // Whole vectors reach into the next line, which is yet to come: but not below the last.
      const float* end = q + 1 < p.size() ? line + BLOCK + WIDTH : line;
      for (int64_t m = 0; m < i.size(); m += r) {
        const int64_t rows = std::min(r, i.size() - m);
        copy(to + m * p.size() + q * rows, line + m, rows, end);
      }
      ++q;
    });
  }
};
