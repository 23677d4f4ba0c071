#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

#include "engine/dispatch/features.hpp"
#include "engine/dispatch/isa.hpp"
#include "headwise/cpu.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

enum class Reason { undecided, strongest, environment, call };

// Small enough to be one lock-free word, so that a reader never sees the ISA of one choice with the reason of another.
struct Choice {
    Isa isa;
    Reason reason;
};
static_assert(std::atomic<Choice>::is_always_lock_free);

std::atomic<Choice> current_choice{Choice{Isa::scalar, Reason::undecided}};

const IsaRequirements* find_requirements(Isa isa) {
    const auto& list = isa_requirements();
    const auto found = std::find_if(list.begin(), list.end(), [isa](const IsaRequirements& entry) { return entry.isa == isa; });
    return found == list.end() ? nullptr : &*found;
}

bool is_available(Isa isa) {
    const auto available = available_isas();
    return std::find(available.begin(), available.end(), isa) != available.end();
}

std::string available_names() {
    std::string names;
    for (const Isa isa : available_isas()) names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
    return names;
}

Isa isa_from_name(std::string_view name, const std::string& source) {
    std::string known;
    for (const IsaRequirements& entry : isa_requirements()) {
        if (entry.name == name) return entry.isa;
        known += (known.empty() ? "" : ", ") + std::string(entry.name);
    }
    throw Error(source + " is \"" + std::string(name) + "\": no such ISA; known are " + known +
                "; available here: " + available_names());
}

Choice initial_choice() {
    // Copied once: a program that changes its environment later changes nothing here, and a bad value fails every call alike.
    static const std::string& requested = *[] {
        const char* value = std::getenv("HEADWISE_ISA");
        return new std::string(value ? value : "");
    }();
    if (requested.empty()) return {available_isas().back(), Reason::strongest};
    const Isa isa = isa_from_name(requested, "HEADWISE_ISA");
    require_available(isa, "HEADWISE_ISA");
    return {isa, Reason::environment};
}

Choice decided_choice() {
    Choice choice = current_choice.load(std::memory_order_relaxed);
    if (choice.reason != Reason::undecided) return choice;
    const Choice initial = initial_choice();
    // A set_isa() that came in between wins, and is what `choice` then holds.
    return current_choice.compare_exchange_strong(choice, initial, std::memory_order_relaxed) ? initial : choice;
}

}  // namespace

void require_available(Isa isa, const std::string& source) {
    if (is_available(isa)) return;
    const IsaRequirements* requirements = find_requirements(isa);
    std::string why;
    if (requirements == nullptr) {
        why = "no such ISA";
    } else if (!requirements->compiled_in) {
        why = "this binary has no kernels for it";
    } else {
        for (const std::string_view feature : requirements->features) {
            if (!has_feature(feature)) why += (why.empty() ? "this machine lacks " : ", ") + std::string(feature);
        }
    }
    const std::string name = requirements ? std::string(requirements->name) : std::to_string(static_cast<int>(isa));
    throw Error(source + " is " + name + ": " + why + "; available here: " + available_names(),
                requirements ? ErrorKind::unsupported : ErrorKind::argument);
}

std::string_view isa_name(Isa isa) noexcept {
    const IsaRequirements* requirements = find_requirements(isa);
    return requirements ? requirements->name : "unknown";
}

Isa isa_from_name(std::string_view name) {
    return isa_from_name(name, "name");
}

std::span<const Isa> available_isas() {
    static const std::vector<Isa>& available = *[] {
        auto* list = new std::vector<Isa>;
        for (const IsaRequirements& entry : isa_requirements()) {
            const auto& features = entry.features;
            if (entry.compiled_in && std::all_of(features.begin(), features.end(), has_feature)) list->push_back(entry.isa);
        }
        return list;
    }();
    return available;
}

Isa active_isa() {
    return decided_choice().isa;
}

void set_isa(Isa isa) {
    require_available(isa, "set_isa: isa");
    current_choice.store({isa, Reason::call}, std::memory_order_relaxed);
}

std::string isa_reason() {
    switch (decided_choice().reason) {
        case Reason::environment: return "HEADWISE_ISA";
        case Reason::call: return "set_isa()";
        case Reason::strongest:
        case Reason::undecided: break;
    }
    return "strongest available";
}

}  // namespace headwise
