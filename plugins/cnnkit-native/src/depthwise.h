// A convolution of each channel by itself. One channel at a time is padded into a plane in the L1
// cache, parted by the phases of the stride, where each tap is an offset and vectors run on over the
// ends of rows; so the maps themselves are read and written once, and need no room around them.
#pragma once
#include "depthwise3.h"

namespace cnnkit {
namespace NS {

// One channel of x, or zero outside of it, to its planes; rows that no window reaches are left out.
static void part(const Planes& q, const Map& x, int64_t c, float* to, float* line) {
  const int64_t width = q.row(), from = std::min(q.left, width);
  const int64_t count = std::max<int64_t>(0, std::min(x.W, width - from));
  for (int64_t at = 0; at < q.H * q.down; at++) {
    const int64_t h = at - q.top;
    float* out = to + (at % q.down * q.across * q.H + at / q.down) * q.W;
    if (h < 0 || h >= x.H) {
      for (int64_t p = 0; p < q.across; p++) clear(out + p * q.H * q.W, q.W);
      continue;
    }
    float* row = q.across == 1 ? out : line;
    const float* in = x.data + c * x.plane + h * x.pitch;
    clear(row, from);
    along(count, [&](auto width, int64_t i) {
      store(row + from + i, load<decltype(width)::value>(in + i));
    });
    clear(row + from + count, width - from - count);
    if (q.across == 2) {
      along(q.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        Vec<N> even, odd;
        split<N>(load<N>(line + 2 * i), load<N>(line + 2 * i + N), even, odd);
        store(out + i, even);
        store(out + q.H * q.W + i, odd);
      });
    } else if (q.across > 2) {
      for (int64_t i = 0; i < width; i++) out[i % q.across * q.H * q.W + i / q.across] = line[i];
    }
  }
}

// The other way: one channel of x from its planes, zero where these do not reach.
static void join(const Planes& q, const float* from, float* line, const Map& x, int64_t c) {
  const int64_t width = q.row(), first = std::min(q.left, width);
  const int64_t count = std::max<int64_t>(0, std::min(x.W, width - first));
  for (int64_t h = 0; h < x.H; h++) {
    const int64_t at = h + q.top;
    float* out = x.data + c * x.plane + h * x.pitch;
    if (at >= q.H * q.down) {
      clear(out, x.W);
      continue;
    }
    const float* in = from + (at % q.down * q.across * q.H + at / q.down) * q.W;
    if (q.across == 2) {
      along(q.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        Vec<N> a, b;
        weave<N>(load<N>(in + i), load<N>(in + q.H * q.W + i), a, b);
        store(line + 2 * i, a);
        store(line + 2 * i + N, b);
      });
    } else if (q.across > 2) {
      for (int64_t i = 0; i < width; i++) line[i] = in[i % q.across * q.H * q.W + i / q.across];
    }
    const float* row = (q.across == 1 ? in : line) + first;
    along(count, [&](auto width, int64_t i) { store(out + i, load<decltype(width)::value>(row + i)); });
    clear(out + count, x.W - count);
  }
}

// One channel of y with zeros around it; returns where it begins. One row's zeros to the right are
// the next one's to the left.
static float* surround(const Planes& q, const Map& y, int64_t c, float* to) {
  float* const first = to + q.rows * q.W + q.columns;
  std::memset(to, 0, (first - to) * sizeof(float));
  for (int64_t h = 0; h < y.H; h++) {
    const float* in = y.data + c * y.plane + h * y.pitch;
    float* out = first + h * q.W;
    along(y.W, [&](auto width, int64_t i) { store(out + i, load<decltype(width)::value>(in + i)); });
    clear(out + y.W, q.W - y.W);
  }
  float* const end = first + y.H * q.W;
  std::memset(end, 0, (to + q.single() - end) * sizeof(float));
  return first;
}

INLINE int64_t length(const Planes& q, const Map& y) { return (y.H - 1) * q.W + y.W; }

// Tell if depthwise3.h has a faster way.
static bool keeps_sides(const Depthwise& d) {
  const Planes& q = d.planes;
  const bool three = d.T == 9 && q.rows == 2 && q.columns == 2 && q.H == d.y.H + 2;
  return three && q.down * q.across == 1 && q.top == 1 && q.left == 1 && d.x.H == d.y.H && d.x.W == d.y.W;
}

static void depthwise(const Depthwise& d) {
  if (keeps_sides(d)) return depthwise3(d.x, d.y, d.w, false, d.bias, d.relu);
  const Planes& q = d.planes;
  float *x = d.room, *y = x + q.parted(), *line = y + q.single();
  for (int64_t c = 0; c < d.y.C; c++) {
    part(q, d.x, c, x, line);
    rows({1, d.T, length(q, d.y), d.off, d.w + c * d.T, 0, 0, x, d.bias ? d.bias + c : nullptr,
          nullptr, d.relu, nullptr, 0, y, 0});
    for (int64_t h = 0; h < d.y.H; h++) {
      float* out = d.y.data + c * d.y.plane + h * d.y.pitch;
      along(d.y.W, [&](auto width, int64_t i) {
        store(out + i, load<decltype(width)::value>(y + h * q.W + i));
      });
    }
  }
}

static void depthwise_dx(const Depthwise& d) {
  if (keeps_sides(d)) return depthwise3(d.y, d.x, d.w, true, nullptr, false);
  const Planes& q = d.planes;
  const int64_t area = q.H * q.W;
  float *x = d.room, *y = x + q.parted(), *line = y + q.single();
  int64_t off[MOST_TAPS];
  float w[MOST_TAPS];
  for (int64_t c = 0; c < d.y.C; c++) {
    const float* dy = surround(q, d.y, c, y);
    for (int64_t phase = 0; phase < q.down * q.across; phase++) {
      int64_t T = 0;
      for (int64_t t = 0; t < d.T; t++)
        if (d.off[t] / area == phase) {
          off[T] = -(d.off[t] % area);
          w[T++] = d.w[c * d.T + t];
        }
      rows({1, T, area, off, w, 0, 0, dy, nullptr, nullptr, false, nullptr, 0, x + phase * area, 0});
    }
    join(q, x, line, d.x, c);
  }
}

static void depthwise_dw(const Depthwise& d, float* dw, float* db, bool add) {
  if (keeps_sides(d)) return depthwise3_dw(d.x, d.y, dw, db, add);
  const Planes& q = d.planes;
  float *x = d.room, *y = x + q.parted(), *line = y + q.single();
  for (int64_t c = 0; c < d.y.C; c++) {
    part(q, d.x, c, x, line);
    const float* dy = surround(q, d.y, c, y);
    const int64_t L = length(q, d.y);
    dots({1, d.T, L, dy, 0, x, d.off, dw + c * d.T, 0, add});
    if (!db) continue;
    if (!add) db[c] = 0;
    plane_sums(1, L, dy, 0, db + c);
  }
}

}  // namespace NS
}  // namespace cnnkit
