// One flag that long work polls between steps, set by Ctrl-C.
#pragma once

namespace moescope {

// Turns SIGINT and SIGTERM into the flag below; a second signal ends the process at once.
void InstallCancellationSignals();
bool CancellationRequested();
// Takes the flag back, for programs that go on after an interrupted step.
void ClearCancellation();
// Throws Error(kCancelled) when the flag is set.
void ThrowIfCancelled();

}  // namespace moescope
