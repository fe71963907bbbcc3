// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The importer's state: names in scope, budgets, what has gone wrong.

#ifndef LATHE_LIB_FRONTEND_ONNX_MODELIMPORTER_H
#define LATHE_LIB_FRONTEND_ONNX_MODELIMPORTER_H

#include "lib/Frontend/Onnx/NodeImporter.h"
#include "lib/Frontend/Onnx/OnnxFile.h"
#include "lib/Frontend/Onnx/OnnxImport.h"

namespace lathe::onnx {

/// The names of one graph or function body. A null value stands for the result
/// of something unsupported: whatever uses it is skipped.
struct Scope {
  const Scope *parent = nullptr; ///< Of a subgraph; a function has none.
  llvm::StringMap<Value> values;
  llvm::StringMap<const ::onnx::TensorProto *> initializers;
  llvm::StringMap<int64_t> opsets; ///< By domain; "" is ai.onnx.
  /// Arguments of the function being inlined.
  llvm::StringMap<const ::onnx::AttributeProto *> arguments;
  unsigned depth = 0; ///< Graphs and functions around this one.
};

/// A function while it is built: the model, a branch or the body of a loop.
struct Frame {
  Frame *parent = nullptr; ///< Whose function runs this one.
  mlir::func::FuncOp function;
  std::unique_ptr<graph::ShapeAnalysis> analysis;
  std::unique_ptr<GraphBuilder> builder;
  llvm::DenseMap<const ::onnx::TensorProto *, Value> tensors;
  /// Values of the parent that were brought here.
  llvm::DenseMap<Value, Value> brought;
  /// Those that became arguments, the last ones of the function.
  llvm::SmallVector<Value> captures;
};

/// A graph in a node, imported as an internal function.
struct ImportedGraph {
  std::unique_ptr<Frame> frame;
  llvm::SmallVector<Value> results; ///< Inside the function.
};

/// Imports one model. Failures are recorded here and end as one llvm::Error.
class ModelImporter {
public:
  ModelImporter(mlir::MLIRContext &context, OnnxFile &file,
                const OnnxImportOptions &options,
                llvm::SmallVectorImpl<OnnxUnsupported> &unsupported);

  llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> import();

  /// Imports `graph`, a branch inside `outer`, in place; binds its outputs to
  /// `results`.
  LogicalResult importBranch(const ::onnx::GraphProto &graph, Scope &outer,
                             llvm::SmallVectorImpl<Value> &results);

  /// Imports `graph` as a function that the current one runs. `declare` adds
  /// arguments and binds the graph's inputs in the new scope; values of
  /// `captures` become arguments in that order, then what else the graph reads
  /// from outside. Nothing if the graph cannot be imported (recorded).
  using Declare = llvm::function_ref<LogicalResult(Frame &, Scope &)>;
  std::optional<ImportedGraph> importFunction(const ::onnx::GraphProto &graph,
                                              Scope &outer,
                                              llvm::StringRef kind,
                                              llvm::ArrayRef<Value> captures,
                                              Declare declare);
  /// Adds an argument with the dims given, over the function's symbols.
  Value addArgument(Frame &to, llvm::StringRef name, Type elementType,
                    llvm::ArrayRef<AffineExpr> dims);
  /// What `value`, of this function or one around it, is called in `to`.
  Value bring(Value value, Frame &to);
  /// Makes the outer values in `captures` arguments where they are not yet.
  void capture(Frame &to, llvm::ArrayRef<Value> captures);
  /// Ends the function in `results`, after which nothing may be added.
  void finish(ImportedGraph &graph, llvm::ArrayRef<Value> results);
  Frame &getFrame() { return *frame; }
  LogicalResult bind(llvm::StringRef name, Value value, Scope &scope);

  /// The value of a tensor in the model; null (and recorded) if it cannot be.
  Value importTensor(const ::onnx::TensorProto &tensor, llvm::StringRef name);

  bool hasBuiltin(llvm::StringRef callee) const {
    return !options.hasBuiltin || options.hasBuiltin(callee);
  }
  void addUnsupported(OnnxUnsupported what) {
    unsupported.push_back(std::move(what));
  }
  /// Keeps the first message: what follows from it only confuses.
  void addInvalid(const llvm::Twine &message);
  bool isInvalid() const { return !invalid.empty(); }

private:
  LogicalResult declareInputs(Scope &scope);
  LogicalResult declareInput(const ::onnx::ValueInfoProto &input, Scope &scope);
  AffineExpr importDim(const ::onnx::TensorShapeProto::Dimension &dim,
                       llvm::StringRef input, unsigned index);
  AffineExpr getSymbol(llvm::StringRef name);
  LogicalResult setResults(llvm::ArrayRef<Value> results);
  LogicalResult importBody(const ::onnx::GraphProto &graph, Scope &scope,
                           llvm::SmallVectorImpl<Value> &results);
  LogicalResult importNode(const ::onnx::NodeProto &node, Scope &scope);
  LogicalResult inlineFunction(const ::onnx::FunctionProto &function,
                               const ::onnx::NodeProto &node, Scope &scope,
                               llvm::ArrayRef<Value> inputs);
  LogicalResult importOp(const OpEntry &entry, NodeImporter &importer);
  const OpEntry *findEntry(NodeImporter &importer, llvm::StringRef domain);
  /// The inputs' values; failure if one is not defined, `skip` if one is null.
  LogicalResult getInputs(const ::onnx::NodeProto &node, Scope &scope,
                          llvm::SmallVectorImpl<Value> &inputs, bool &skip);
  std::optional<Value> lookUp(llvm::StringRef name, const Scope &scope);
  LogicalResult importOpsets(
      const google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto>
          &imports,
      Scope &scope);
  mlir::Location getLocation(const ::onnx::NodeProto &node);

  mlir::MLIRContext &context;
  OnnxFile &file;
  const OnnxImportOptions &options;
  llvm::SmallVectorImpl<OnnxUnsupported> &unsupported;
  std::string invalid;
  llvm::StringMap<const ::onnx::FunctionProto *> functions;
  llvm::StringMap<unsigned> symbols; ///< Named dims of the inputs.
  llvm::SmallVector<mlir::Attribute> symbolNames;
  uint64_t nodeCount = 0; ///< Imported so far, inlined functions included.

  mlir::OwningOpRef<mlir::ModuleOp> module;
  Frame main;
  Frame *frame = &main; ///< Where nodes go now.
  unsigned functionCount = 0;
};

/// The node's name, or that of its first output, for messages.
llvm::StringRef getNodeName(const ::onnx::NodeProto &node);

/// The node's op, "?" if the file names none.
llvm::StringRef getOpName(const ::onnx::NodeProto &node);

} // namespace lathe::onnx

#endif // LATHE_LIB_FRONTEND_ONNX_MODELIMPORTER_H
