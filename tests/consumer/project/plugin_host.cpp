// Loads the plugin, calls it and unloads it, several times, and then goes on for a while. With HOST_USES_TBB it holds oneTBB
// itself.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <thread>

#ifdef HOST_USES_TBB
#include <oneapi/tbb/parallel_for.h>
#endif

namespace {

bool call(const char* path) {
    void* plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) {
        std::puts(dlerror());
        return false;
    }
    const auto attention_is_right = reinterpret_cast<int (*)()>(dlsym(plugin, "attention_is_right"));
    const bool right = attention_is_right && attention_is_right() == 1;
    return dlclose(plugin) == 0 && right;
}

}  // namespace

int main(int, char** arguments) {
#ifdef HOST_USES_TBB
    oneapi::tbb::parallel_for(0, 100, [](int) {});
#endif
    for (int i = 0; i < 10; ++i) {
        if (!call(arguments[1])) return 1;
        // oneTBB's threads go to sleep meanwhile, and wake up where they were.
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 3 * 20));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    std::puts("right");
    return 0;
}
