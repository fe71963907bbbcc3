// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `graph` dialect: what a model computes, and nothing about how.

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHDIALECT_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHDIALECT_TD

include "mlir/IR/OpBase.td"

def Graph_Dialect : Dialect {
  let name = "graph";
  let summary = "Models as functions of tensors";
  let description = [{
    A model is a `func.func` whose body is a list of `graph` ops on ranked
    tensors. Elementwise ops broadcast as NumPy does. Weights are
    `graph.constant` ops that refer to mapped files; how a weight is *stored*
    is an attribute on its type (`tensor<384x1536xf32, #graph.int8<axis = 1>>`).

    **Dynamic dims have names.** A function carries the list of its dim
    symbols, and each argument says its dims in terms of them:

    ```mlir
    func.func @main(%ids: tensor<?x?xi64> {
          graph.name = "input_ids",
          graph.dims = affine_map<()[s0, s1] -> (s0, s1)>})
        -> (tensor<?x?x384xf32> {graph.name = "last_hidden_state"})
        attributes {graph.symbols = ["batch", "seq"]}
    ```

    An affine expression in this dialect is always over `graph.symbols`, by
    position. Every op answers `inferDims`, so the dims of every value are
    known as expressions; an op whose result size depends on data (`nonzero`,
    a reshape to a computed shape) lists in `binds` the symbols it defines.

    **Control flow runs functions.** `graph.if`, `graph.loop` and `graph.call`
    name internal functions of the module (`graph.given`), whose first symbols
    are the caller's. Every pass works on functions, and so on branches and
    bodies. `graph.bind` makes sizes of data.

    The dialect refuses to model: devices, memory, tiles, layouts, and the
    spelling of any one file format.
  }];
  let cppNamespace = "::lathe::graph";
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 0;
  let dependentDialects = ["::mlir::func::FuncDialect"];
  let hasConstantMaterializer = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let extraClassDeclaration = [{
    /// In GraphAttrs.cpp, where the storage classes are complete.
    void registerAttributes();
  }];
}

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHDIALECT_TD
