#pragma once

namespace headwise::runtime {

/// Keeps the code that oneTBB's threads run, oneTBB's own and the engine's, in memory until the process ends, also where the
/// library or the plugin that it is linked into is unloaded by dlclose(). Those threads outlive every call: they wait for work, and
/// one of them may still be on its way out of the last task when the call has returned. The first call does it; cheap afterwards.
void keep_loaded() noexcept;

}  // namespace headwise::runtime
