// Softmax, the loss that fuses with it, and the optimizers' updates.
#pragma once
#include <cmath>

#include "simd.h"

namespace cnnkit {
namespace NS {

// out = exp(x - max x), and the sum of that; x may be out.
static float exponentials(int64_t K, const float* x, float* out, float* top) {
  float most = x[0];
  for (int64_t k = 1; k < K; k++) most = larger(most, x[k]);
  float sum = 0;
  int64_t k = 0;
  for (; k + VL <= K; k += VL) {
    const Vec<VL> e = exponential<VL>(load<VL>(x + k) - most);
    store(out + k, e);
    sum += total<VL>(e);
  }
  if (k < K) {
    float rest[VL] = {};
    std::memcpy(rest, x + k, (K - k) * 4);
    store(rest, exponential<VL>(load<VL>(rest) - most));
    for (int64_t i = 0; k + i < K; i++) sum += out[k + i] = rest[i];
  }
  *top = most;
  return sum;
}

static void softmax(int64_t K, const float* x, float* y) {
  float top;
  const float sum = exponentials(K, x, y, &top);
  for (int64_t k = 0; k < K; k++) y[k] /= sum;
}

static void softmax_back(int64_t K, const float* y, const float* dy, float* dx) {
  float inner = 0;
  for (int64_t k = 0; k < K; k++) inner += dy[k] * y[k];
  for (int64_t k = 0; k < K; k++) dx[k] = y[k] * (dy[k] - inner);
}

// Losses (n,) and their slopes (n, K) at the logits z, with `share` of the target spread evenly.
static void cross_entropy(int64_t n, int64_t K, const float* z, const int64_t* labels, float share,
                          float scale, float* losses, float* dz) {
  for (int64_t i = 0; i < n; i++, z += K, dz += K) {
    const int64_t label = labels[i];
    float top, mean = 0;
    if (share > 0) {
      for (int64_t k = 0; k < K; k++) mean += z[k];
      mean /= (float)K;
    }
    const float sum = exponentials(K, z, dz, &top);
    losses[i] = std::log(sum) - (z[label] - top);
    if (share > 0) losses[i] += share * (z[label] - mean);
    const float even = share / (float)K;
    for (int64_t k = 0; k < K; k++)
      dz[k] = (dz[k] / sum - even - (k == label ? 1.0f - share : 0.0f)) * scale;
  }
}

// A velocity that no gradient feeds any more would sink to the smallest of floats and stay there,
// where a product takes a processor twenty times as long; below this it is nothing.
constexpr float LEAST = 1e-30f;
INLINE bool gone(float v) { return (v < LEAST) & (v > -LEAST); }
INLINE float kept(float v) { return gone(v) ? 0.0f : v; }

// move(first number, how many, their gradient): the sum of the parts, by as much as the L1 cache holds.
template <typename Move>
INLINE void by_sums(const Parts& p, Move move) {
  constexpr int64_t MOST = 2048;
  alignas(64) float sum[MOST];
  for (int64_t at = 0; at < p.n; at += MOST) {
    const int64_t n = p.n - at < MOST ? p.n - at : MOST;
    if (p.count == 1) {
      move(at, n, p.g[0] + at);
      continue;
    }
    for (int64_t i = 0; i < n; i++) sum[i] = p.g[0][at + i] + p.g[1][at + i];
    for (int64_t k = 2; k < p.count; k++)
      for (int64_t i = 0; i < n; i++) sum[i] += p.g[k][at + i];
    move(at, n, sum);
  }
}

static void sgd_part(int64_t n, float* __restrict w, const float* __restrict g,
                     float* __restrict v, const Sgd& s) {
  const float lr = s.lr, momentum = s.momentum, decay = s.decay;
  if (!v) {
    for (int64_t i = 0; i < n; i++) w[i] -= lr * (g[i] + decay * w[i]);
  } else if (s.nesterov) {
    for (int64_t i = 0; i < n; i++) {
      const float slope = g[i] + decay * w[i];
      v[i] = kept(momentum * v[i] + slope);
      w[i] -= lr * (slope + momentum * v[i]);
    }
  } else {
    for (int64_t i = 0; i < n; i++) {
      v[i] = kept(momentum * v[i] + (g[i] + decay * w[i]));
      w[i] -= lr * v[i];
    }
  }
}

static void sgd(const Parts& p, float* w, float* v, const Sgd& s) {
  by_sums(p, [&](int64_t at, int64_t n, const float* g) {
    sgd_part(n, w + at, g, v ? v + at : nullptr, s);
  });
}

static void adam_part(int64_t n, float* __restrict w, const float* __restrict g,
                      float* __restrict m, float* __restrict v, const Adam& a) {
  const float rate = a.rate, beta1 = a.beta1, beta2 = a.beta2, eps = a.eps, shrink = a.shrink;
  for (int64_t i = 0; i < n; i++) {
    m[i] = kept(beta1 * m[i] + (1 - beta1) * g[i]);
    const float square = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
    v[i] = gone(m[i]) & gone(square) ? 0.0f : square;  // m over a root of nothing would leap
    w[i] = shrink * w[i] - rate * (m[i] / (std::sqrt(v[i]) + eps));
  }
}

static void adam(const Parts& p, float* w, float* m, float* v, const Adam& a) {
  by_sums(p, [&](int64_t at, int64_t n, const float* g) {
    adam_part(n, w + at, g, m + at, v + at, a);
  });
}

}  // namespace NS
}  // namespace cnnkit
