#include "apps/cli/picture.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "base/platform/child_process.h"
#include "base/platform/durable_file.h"

namespace moescope::cli {
namespace {

constexpr int kNoPackage = 3;  // the script's exit code where the import fails

constexpr const char* kScript = R"(
import sys
try:
    import vl_convert
except ImportError:
    sys.exit(3)
spec = sys.stdin.read()
if sys.argv[1] == 'svg':
    picture = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]).encode()
else:
    picture = vl_convert.vegalite_to_png(spec, scale=2, allowed_base_urls=[])
sys.stdout.buffer.write(picture)
)";

}  // namespace

void WritePicture(const std::string& spec, PictureType type, const std::string& path) {
  const char* named = std::getenv("MOESCOPE_PYTHON");
  const std::string python = named != nullptr && *named != '\0' ? named : "python3";
  const char* format = type == PictureType::kSvg ? "svg" : "png";
  const ChildResult drawn = RunChild({python, "-c", kScript, format}, spec);
  if (drawn.exit_code == kNoPackage) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("cannot draw {}: {} lacks the package vl-convert-python; install it "
                            "(pip install vl-convert-python), or name a Python that has it in "
                            "MOESCOPE_PYTHON, or take the specification with --spec FILE",
                            path, python));
  }
  if (drawn.exit_code != 0) {
    throw Error(ErrorKind::kInternal, fmt::format("cannot draw {}: {} ended with code {}: {}", path,
                                                  python, drawn.exit_code, drawn.message));
  }
  ReplaceFile(path, AsBytes(drawn.output));
}

}  // namespace moescope::cli
