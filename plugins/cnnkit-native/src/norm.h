// Batch normalisation of maps (n, C, L), with the form behind it, such as a ReLU: what a layer does
// between the two times that it hears of the other shards. What went into the form is computed again
// going back: that is less work than to keep it.
#pragma once
#include "forms.h"

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

static void normalise(const Norm& n, float* y) {
  with_form(Form(n.form), [&](auto form) {
    using F = decltype(form);
    for (int64_t i = 0; i < n.n * n.C; i++) {
      const float a = n.center[i % n.C], f = n.factor[i % n.C], s = n.shift[i % n.C];
      const float* x = n.x + i * n.L;
      float* out = y + i * n.L;
      along(n.L, [&](auto width, int64_t at) {
        constexpr int N = decltype(width)::value;
        store(out + at, F::template value<N>((load<N>(x + at) - a) * f + s, n.share));
      });
    }
  });
}

// How far x lies from the center, and the gradient before the form.
template <int N>
struct Passed {
  Vec<N> off, dy;
};
template <typename F, int N>
INLINE Passed<N> passed(const Norm& n, int64_t c, const float* x, const float* dy) {
  const Vec<N> off = load<N>(x) - n.center[c];
  const Vec<N> slope = F::template slope<N>(off * n.factor[c] + n.shift[c], n.share);
  return {off, load<N>(dy) * slope};
}

// Of each channel the sums of dy * (x - center) and of dy, both before the form.
static void normal_sums(const Norm& n, const float* dy, double* products, double* sums) {
  with_form(Form(n.form), [&](auto form) {
    using F = decltype(form);
    for (int64_t c = 0; c < n.C; c++) {
      products[c] = sums[c] = 0;
      for (int64_t i = 0; i < n.n; i++) {
        const int64_t first = (i * n.C + c) * n.L;
        constexpr int LINES = 2;
        Vec<VL> product[LINES] = {}, sum[LINES] = {};
        int64_t at = first;
        auto add = [&](int k) {
          const auto p = passed<F, VL>(n, c, n.x + at, dy + at);
          product[k] += p.dy * p.off;
          sum[k] += p.dy;
          at += VL;
        };
        while (at + LINES * VL <= first + n.L)
          UNROLL for (int k = 0; k < LINES; k++) add(k);
        if (at + VL <= first + n.L) add(0);
        products[c] += total<VL>(product[0] + product[1]);
        sums[c] += total<VL>(sum[0] + sum[1]);
        for (; at < first + n.L; at++) {
          const auto p = passed<F, 1>(n, c, n.x + at, dy + at);
          products[c] += (p.dy * p.off)[0];
          sums[c] += p.dy[0];
        }
      }
    }
  });
}

// dx = (dy - rest - (x - center) * slope) * factor, dy before the form
static void normal_back(const Norm& n, const float* dy, const float* slope, const float* rest,
                        float* dx) {
  with_form(Form(n.form), [&](auto form) {
    using F = decltype(form);
    for (int64_t i = 0; i < n.n * n.C; i++) {
      const int64_t c = i % n.C, at = i * n.L;
      const float f = n.factor[c], p = slope[c], s = rest[c];
      along(n.L, [&](auto width, int64_t j) {
        constexpr int N = decltype(width)::value;
        const auto v = passed<F, N>(n, c, n.x + at + j, dy + at + j);
        store(dx + at + j, (v.dy - s - v.off * p) * f);
      });
    }
  });
}

}  // namespace NS
}  // namespace cnnkit
