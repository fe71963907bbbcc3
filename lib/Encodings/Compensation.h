// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rounding that compensates: the error of a row of a weight is made up for by
// the rows that are rounded after it, so that products with typical inputs err
// less, though each weight errs more. As GPTQ does (Frantar et al., arXiv
// 2210.17323), and SparseGPT for what is left out (arXiv 2301.00774), after
// Optimal Brain Surgeon.

#ifndef LATHE_LIB_ENCODINGS_COMPENSATION_H
#define LATHE_LIB_ENCODINGS_COMPENSATION_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace lathe {

/// How errors spread, for inputs of given second moments E[x x^T]. Built once
/// per weight in k^3 / 2 steps, used for its columns in k^2 / 2 steps each.
class Compensation {
public:
  /// From the [k, k] moments, in row-major order. A hundredth of their mean
  /// diagonal is added to the diagonal, as GPTQ does, so that inputs that were
  /// never seen do not make weights grow, and are rounded as without moments.
  /// Fails if they are no moments: if one is not finite or the matrix is far
  /// from positive.
  static llvm::Expected<Compensation> create(llvm::ArrayRef<float> moments,
                                             int64_t k);

  /// E[x_k^2], with what is added: what an error in row k weighs. Positive.
  llvm::ArrayRef<float> getWeights() const { return weights; }

  /// What an error in row k weighs once later rows have made up for it: the
  /// less, the better they can. By this one chooses what to leave out.
  llvm::ArrayRef<float> getResiduals() const { return residuals; }

  /// Rounds `columns` columns of [k, columns] `values`. `round` is called once
  /// per row, rows of large inputs first, with the row number and its values,
  /// compensated, and replaces them with what they are rounded to.
  void run(llvm::MutableArrayRef<float> values, int64_t columns,
           llvm::function_ref<void(int64_t, llvm::MutableArrayRef<float>)>
               round) const;

private:
  std::vector<float> weights, residuals;
  /// Rows in the order in which they are rounded.
  std::vector<int64_t> order;
  /// Per position in `order`, what an error there adds to later positions:
  /// row-major, above the diagonal.
  std::vector<float> spread;
};

} // namespace lathe

#endif // LATHE_LIB_ENCODINGS_COMPENSATION_H
