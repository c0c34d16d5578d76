// A parsed template: a tree of statements and expressions. The parser bounds its size and depth, so
// it can be walked over by recursion.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/callables.h"
#include "text/jinja/operators.h"
#include "text/jinja/value.h"

namespace moescope::text::jinja {

// Beside each: its children. [x]: may be null.
enum class NodeKind : uint8_t {
  kConstant,     // value
  kName,         // symbol
  kList,         // items
  kTuple,        // items
  kDict,         // key, value, key, value, ...
  kNot,          // operand
  kAnd,          // left, right
  kOr,           // left, right
  kNegative,     // operand
  kPositive,     // operand
  kArithmetic,   // left, right; operators[0]
  kCompare,      // first, and an operand for each of operators
  kConcat,       // operands of ~
  kConditional,  // test, value, [other value]
  kAttribute,    // object; value: its name
  kItem,         // object, key
  kSlice,        // object, [start], [stop], [step]
  kCall,         // callee, arguments
  kFilter,       // [what is filtered], arguments; null: the text of a block
  kTest,         // what is tested, arguments

  kBody,             // statements
  kText,             // value
  kOutput,           // expression
  kIf,               // test, body, test, body, ..., possibly the body of else
  kFor,              // target, iterated, [filter], body, [body of else]
  kSet,              // target, expression
  kSetBlock,         // target, [filters], body
  kNamespaceTarget,  // symbol; value: the attribute
  kMacro,            // body, and the defaults of the last parameters; symbol
  kCallBlock,        // call, macro
  kFilterBlock,      // filters, body
  kWith,             // target, expression, target, expression, ..., body
  kScope,            // body with variables of its own
  kBreak,
  kContinue,
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

// What few nodes need.
struct NodeExtra {
  size_t n_positional = 0;                 // of the arguments
  std::vector<std::string_view> keywords;  // of the others
  std::vector<Operator> operators;
  std::vector<int> parameters;  // symbols
  const FilterEntry* filter = nullptr;
  const TestEntry* test = nullptr;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
};

struct Node {
  NodeKind kind = NodeKind::kBody;
  bool uses_loop = false;  // kFor: its body asks for `loop`, the symbol
  int line = 1;
  int depth = 1;
  int symbol = -1;
  Value value;
  std::vector<NodePtr> children;
  std::unique_ptr<NodeExtra> extra;
};

// Immutable once parsed.
struct Template {
  std::string source;
  std::deque<std::string> strings;  // texts that are not as in the source
  std::vector<std::string_view> symbols;
  NodePtr body;
};

// Throws Error(kBadInput), Error(kUnsupported) naming the line and the construct.
std::unique_ptr<const Template> ParseTemplate(std::string_view source, std::string_view origin);

}  // namespace moescope::text::jinja
