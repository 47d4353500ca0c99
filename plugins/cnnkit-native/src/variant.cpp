// All kernels for one instruction set: compiled once for each, with -DNS, -DVL and -DREGISTERS.
#include "depthwise.h"
#include "heads.h"
#include "maps.h"
#include "multiply.h"
#include "norm.h"
#include "square.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

namespace cnnkit {
namespace NS {
extern const Kernels kernels;
const Kernels kernels = {
    TEXT(NS),     pack,         rows,          dots,       outer,       transpose,  depthwise,
    depthwise_dx, depthwise_dw, each,          scale,      scale_back,  pool,       pool_back,
    plane_sums,   bands_in,     bands_out,     bands_back, bands_pack,  bands_sum,  square,
    square_dw,    moments,      normalise,     normal_sums, normal_back, softmax,   softmax_back,
    cross_entropy, sgd,         adam};
}  // namespace NS
}  // namespace cnnkit
