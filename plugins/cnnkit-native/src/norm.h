// Batch normalisation of maps (n, C, L), with the ReLU behind it: what a layer does between the two
// times that it hears of the other shards.
#pragma once
#include "simd.h"

namespace cnnkit {
namespace NS {

// Sum of term(width, i) over i < L: in four lines of vectors, and the rest one by one.
template <typename Term>
INLINE double sum_of(int64_t L, Term term) {
  constexpr int LINES = 4;
  Vec<VL> acc[LINES] = {};
  int64_t i = 0;
  for (; i + LINES * VL <= L; i += LINES * VL)
    UNROLL for (int k = 0; k < LINES; k++)
      acc[k] += term(std::integral_constant<int, VL>{}, i + k * VL);
  for (; i + VL <= L; i += VL) acc[0] += term(std::integral_constant<int, VL>{}, i);
  double sum = total<VL>((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < L; i++) sum += term(std::integral_constant<int, 1>{}, i)[0];
  return sum;
}

// Of each channel the mean, and the sum of squared distances from it.
static void moments(const Norm& n, double* mean, double* squares) {
  for (int64_t c = 0; c < n.C; c++) {
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n.n; i++) {
      const float* x = n.x + (i * n.C + c) * n.L;
      sum += sum_of(n.L, [&](auto width, int64_t at) {
        return load<decltype(width)::value>(x + at);
      });
    }
    mean[c] = sum / (double)(n.n * n.L);
    const float center = (float)mean[c];
    for (int64_t i = 0; i < n.n; i++) {
      const float* x = n.x + (i * n.C + c) * n.L;
      square += sum_of(n.L, [&](auto width, int64_t at) {
        const auto off = load<decltype(width)::value>(x + at) - center;
        return off * off;
      });
    }
    squares[c] = square;
  }
}

// y = (x - center) * factor + shift, cut at zero where relu.
static void normalise(const Norm& n, const float* factor, const float* shift, bool relu, float* y) {
  for (int64_t i = 0; i < n.n * n.C; i++) {
    const float a = n.center[i % n.C], f = factor[i % n.C], s = shift[i % n.C];
    const float* x = n.x + i * n.L;
    float* out = y + i * n.L;
    along(n.L, [&](auto width, int64_t at) {
      constexpr int N = decltype(width)::value;
      const Vec<N> v = (load<N>(x + at) - a) * f + s;
      store(out + at, relu ? cut(v) : v);
    });
  }
}

// dy where mask is positive, or as it is.
template <int N>
INLINE Vec<N> passed(const float* dy, const float* mask, int64_t at) {
  const Vec<N> v = load<N>(dy + at);
  return mask ? through(v, load<N>(mask + at)) : v;
}

// Of each channel the sums of dy * (x - center) and of dy.
static void normal_sums(const Norm& n, double* products, double* sums) {
  for (int64_t c = 0; c < n.C; c++) {
    double product = 0, sum = 0;
    for (int64_t i = 0; i < n.n; i++) {
      const int64_t at = (i * n.C + c) * n.L;
      const float *x = n.x + at, *dy = n.dy + at, *mask = n.mask ? n.mask + at : nullptr;
      const float center = n.center[c];
      product += sum_of(n.L, [&](auto width, int64_t j) {
        constexpr int N = decltype(width)::value;
        return passed<N>(dy, mask, j) * (load<N>(x + j) - center);
      });
      sum += sum_of(n.L, [&](auto width, int64_t j) {
        return passed<decltype(width)::value>(dy, mask, j);
      });
    }
    products[c] = product;
    sums[c] = sum;
  }
}

// dx = (dy - shift - (x - center) * slope) * factor
static void normal_back(const Norm& n, const float* factor, const float* slope, const float* shift,
                        float* dx) {
  for (int64_t i = 0; i < n.n * n.C; i++) {
    const int64_t c = i % n.C, at = i * n.L;
    const float a = n.center[c], f = factor[c], p = slope[c], s = shift[c];
    const float *x = n.x + at, *dy = n.dy + at, *mask = n.mask ? n.mask + at : nullptr;
    float* out = dx + at;
    along(n.L, [&](auto width, int64_t j) {
      constexpr int N = decltype(width)::value;
      store(out + j, (passed<N>(dy, mask, j) - s - (load<N>(x + j) - a) * p) * f);
    });
  }
}

}  // namespace NS
}  // namespace cnnkit
