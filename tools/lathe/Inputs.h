// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The inputs of a run: arrays of an .npz file by name, or made-up ones of given
// sizes.

#ifndef LATHE_TOOLS_LATHE_INPUTS_H
#define LATHE_TOOLS_LATHE_INPUTS_H

#include "tools/lathe/Npz.h"
#include "tools/lathe/Session.h"
#include <map>

namespace lathe::tool {

/// One tensor per input of an entry, in its order, with the memory behind them.
struct Inputs {
  std::vector<NpzArray> arrays;
  std::vector<lathe_tensor_t> tensors; ///< Views of `arrays` or `buffers`.
  std::vector<BufferPtr> buffers;      ///< On a device with its own memory.
};

/// The NumPy type that `dtype` travels as. bf16 is opaque there ('V', 2).
NpyType getNpyType(lathe_dtype_t dtype);

/// Reads an .npz whose keys are the entry's inputs. A missing key, one too many
/// or another dtype is an error that names it; shapes are left to the run.
llvm::Expected<Inputs> loadInputs(const Session &session, llvm::StringRef path);

/// Sizes of symbols: `--shape batch=1,seq=128`.
using SymbolSizes = std::map<std::string, int64_t>;

/// Parses "NAME=V[,NAME=V...]" lists. Wrong syntax is a usage error.
llvm::Expected<SymbolSizes>
parseSymbolSizes(llvm::ArrayRef<std::string> options);

/// Inputs of the entry with its symbols held at `sizes`: floats uniform in
/// [-1, 1), integers and bools uniform in {0, 1}, which any vocabulary, segment
/// list or mask permits. The same `seed` gives the same values. It is a usage
/// error to leave a symbol of a dim open, which ends in `otherwise` (another
/// way out), or to name one that isn't there.
llvm::Expected<Inputs> makeRandomInputs(const Session &session,
                                        const SymbolSizes &sizes, uint64_t seed,
                                        llvm::StringRef otherwise = "");

/// Moves them to the memory of the model's device, if that has its own.
llvm::Error moveToDevice(const Session &session, Inputs &inputs);

} // namespace lathe::tool

#endif // LATHE_TOOLS_LATHE_INPUTS_H
