// The local cache of the Hugging Face hub: `owner/repo` to the folder of a snapshot. Looks, and
// never downloads.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace moescope::files {

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> ProcessEnvironment(const std::string& name);

// Where the cache lies: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub,
// XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub; the first that is set. Empty when not
// even HOME is.
std::string HubCacheFolder(const Environment& environment);

// What to open for a model that the user calls `name`: an existing path is itself, or, if it is an
// entry of the cache (models--OWNER--REPO), the snapshot of its main revision; `owner/repo` and
// `owner/repo@revision` (a branch, a tag or a commit) are snapshots in the cache; anything else is
// returned as it is, for whoever opens it to complain about.
// Throws Error(kNotFound) for a repository or revision that the cache does not hold, with the place
// and the command that downloads it; Error(kIo).
std::string ResolveModelPath(const std::string& name,
                             const Environment& environment = ProcessEnvironment);

}  // namespace moescope::files
