// What Python calls. Addresses and sizes come as numbers; nothing leaves but a code and a text.
#include <cstdio>
#include <cstring>
#include <exception>

#include "program.h"

#ifdef _WIN32
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace cnnkit {
#if defined(__x86_64__) || defined(_M_X64)
namespace baseline { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace avx512 { extern const Kernels kernels; }
static const Kernels* const variants[] = {&avx512::kernels, &avx2::kernels, &baseline::kernels};
static bool runs(const Kernels* k) {
  __builtin_cpu_init();
  if (k == &avx512::kernels)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (k == &avx2::kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return true;
}
#elif defined(__aarch64__)
namespace neon { extern const Kernels kernels; }
static const Kernels* const variants[] = {&neon::kernels};
static bool runs(const Kernels*) { return true; }
#else
namespace baseline { extern const Kernels kernels; }
static const Kernels* const variants[] = {&baseline::kernels};
static bool runs(const Kernels*) { return true; }
#endif

static const Kernels* best() {
  for (const Kernels* k : variants)
    if (runs(k)) return k;
  return nullptr;
}
static const Kernels* chosen = best();

static thread_local char reason[200];
static void tell(const char* what) { std::snprintf(reason, sizeof reason, "%s", what); }
}  // namespace cnnkit

using namespace cnnkit;

EXPORT const char* cnnkit_variant() { return chosen->name; }

// Choose another variant, for tests; 0 where this processor lacks it.
EXPORT int cnnkit_choose(const char* name) {
  for (const Kernels* k : variants)
    if (!std::strcmp(k->name, name) && runs(k)) {
      chosen = k;
      return 1;
    }
  return 0;
}

// Why the last call of this thread was refused.
EXPORT const char* cnnkit_reason() { return reason; }

// A program from its numbers, or null.
EXPORT Program* cnnkit_load(const int64_t* numbers, int64_t count) {
  try {
    return new Program(Program::parse(numbers, count));
  } catch (const std::exception& error) {
    tell(error.what());
    return nullptr;
  }
}
EXPORT void cnnkit_free(Program* p) { delete p; }

// One block of numbers, as each argument of a call costs Python 0.1 us: how many there are, the
// program, 0 to go forward or 1 back, images; then address and size of each space, of each weight
// and, going back, of each gradient. Returns 1 where it is refused.
EXPORT int cnnkit_run(const int64_t* call) {
  try {
    const auto* p = reinterpret_cast<const Program*>(call[1]);
    const bool back = call[2] == 1;
    const int64_t weights = (int64_t)p->weights.size();
    if ((call[2] != 0 && !back) || call[0] != 4 + 2 * (SPACES + weights * (back ? 2 : 1)))
      throw Refused("the call is of another length");
    const auto* spans = reinterpret_cast<const Span*>(call + 4);
    p->run(back, {call[3], spans, spans + SPACES, back ? spans + SPACES + weights : nullptr},
           *chosen);
    return 0;
  } catch (const std::exception& error) {
    tell(error.what());
    return 1;
  }
}

// Losses (n,) and their slopes dz (n, K) at the logits z; 1 where a label is none of the classes.
EXPORT int cnnkit_cross_entropy(int64_t n, int64_t K, const float* z, const int64_t* labels,
                                float share, float* losses, float* dz) {
  for (int64_t i = 0; i < n; i++)
    if (labels[i] < 0 || labels[i] >= K) return 1;
  chosen->cross_entropy(n, K, z, labels, share, 1.0f, losses, dz);
  return 0;
}

// n numbers each, of `count` gradients that are added up; v may be null.
EXPORT void cnnkit_sgd(int64_t n, int64_t count, const float* const* g, float* w, float* v, float lr,
                       float momentum, float decay, int nesterov) {
  chosen->sgd({n, count, g}, w, v, {lr, momentum, decay, nesterov != 0});
}
EXPORT void cnnkit_adam(int64_t n, int64_t count, const float* const* g, float* w, float* m, float* v,
                        float rate, float beta1, float beta2, float eps, float shrink) {
  chosen->adam({n, count, g}, w, m, v, {rate, beta1, beta2, eps, shrink});
}

// Batch normalisation of (n, C, L), with a form behind it: see norm.h.
EXPORT void cnnkit_moments(int64_t n, int64_t C, int64_t L, const float* x, double* mean,
                           double* squares) {
  chosen->moments({n, C, L, x, nullptr, nullptr, nullptr, COPY, 0}, mean, squares);
}
EXPORT void cnnkit_normalise(int64_t n, int64_t C, int64_t L, const float* x, const float* center,
                             const float* factor, const float* shift, int form, float share,
                             float* y) {
  chosen->normalise({n, C, L, x, center, factor, shift, form, share}, y);
}
EXPORT void cnnkit_normal_sums(int64_t n, int64_t C, int64_t L, const float* x, const float* center,
                               const float* factor, const float* shift, int form, float share,
                               const float* dy, double* products, double* sums) {
  chosen->normal_sums({n, C, L, x, center, factor, shift, form, share}, dy, products, sums);
}
EXPORT void cnnkit_normal_back(int64_t n, int64_t C, int64_t L, const float* x, const float* center,
                               const float* factor, const float* shift, int form, float share,
                               const float* dy, const float* slope, const float* rest, float* dx) {
  chosen->normal_back({n, C, L, x, center, factor, shift, form, share}, dy, slope, rest, dx);
}

// The rate of a micro-kernel, for tests: `rounds` times over F filters, T taps and L numbers.
EXPORT void cnnkit_rows(int64_t F, int64_t T, int64_t L, const int64_t* off, const float* A,
                        const float* X, float* out, int64_t rounds) {
  for (int64_t i = 0; i < rounds; i++)
    chosen->rows({F, T, L, off, A, 0, 0, X, nullptr, nullptr, false, nullptr, 0, out, L});
}
EXPORT void cnnkit_dots(int64_t F, int64_t T, int64_t L, const int64_t* off, const float* D,
                        const float* X, float* out, int64_t rounds) {
  for (int64_t i = 0; i < rounds; i++) chosen->dots({F, T, L, D, L, X, off, out, T, i > 0});
}
