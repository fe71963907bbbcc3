// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef LATHE_DIALECTS_GRAPH_IR_GRAPHENUMS_TD
#define LATHE_DIALECTS_GRAPH_IR_GRAPHENUMS_TD

include "dialects/Graph/IR/GraphDialect.td"
include "mlir/IR/EnumAttr.td"

class Graph_Enum<string name, string description, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, description, cases> {
  let cppNamespace = "::lathe::graph";
  let genSpecializedAttr = 0;
}

def Graph_Compare : Graph_Enum<"Compare", "comparison", [
  I32EnumAttrCase<"eq", 0>, I32EnumAttrCase<"ne", 1>, I32EnumAttrCase<"lt", 2>,
  I32EnumAttrCase<"le", 3>, I32EnumAttrCase<"gt", 4>,
  I32EnumAttrCase<"ge", 5>]>;

def Graph_Reduction : Graph_Enum<"Reduction", "row reduction", [
  I32EnumAttrCase<"sum", 0>, I32EnumAttrCase<"mean", 1>,
  I32EnumAttrCase<"max", 2>, I32EnumAttrCase<"min", 3>,
  I32EnumAttrCase<"prod", 4>]>;

def Graph_ScatterMode : Graph_Enum<"ScatterMode", "how a scatter combines", [
  I32EnumAttrCase<"set", 0>, I32EnumAttrCase<"add", 1>,
  I32EnumAttrCase<"mul", 2>, I32EnumAttrCase<"max", 3>,
  I32EnumAttrCase<"min", 4>]>;

def Graph_PadMode : Graph_Enum<"PadMode", "what padding holds", [
  I32EnumAttrCase<"constant", 0>, I32EnumAttrCase<"edge", 1>,
  I32EnumAttrCase<"reflect", 2>, I32EnumAttrCase<"wrap", 3>]>;

def Graph_GroupKind : Graph_Enum<"GroupKind", "kernel strategy of a group", [
  I32EnumAttrCase<"pointwise", 0>, I32EnumAttrCase<"reduce", 1>,
  I32EnumAttrCase<"contract", 2>, I32EnumAttrCase<"attention", 3>,
  I32EnumAttrCase<"scan", 4>]>;

#endif // LATHE_DIALECTS_GRAPH_IR_GRAPHENUMS_TD
