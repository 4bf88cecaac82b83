// Levels by category, and where lines go.
#include "runtime/support/log.h"

#include <fornax/error.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/support/environment.h"

namespace fornax {

namespace {

constexpr std::array<std::string_view, 11> kCategories = {
    "plan",    "memory", "device",   "kernel",     "execution", "graph",
    "storage", "data",   "training", "collective", "simt"};
constexpr std::array<const char*, 5> kLevels = {"debug", "info", "warning", "error", "off"};

template <class List>
int index_of(const List& list, std::string_view word) noexcept {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (word == list[i]) return static_cast<int>(i);
  return -1;
}

std::shared_ptr<spdlog::logger> make_logger() {
  std::shared_ptr<spdlog::sinks::sink> sink;
  const auto path = environment("FORNAX_LOG_FILE");
  try {
    if (path) sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(*path);
  } catch (const std::exception&) {
    // Standard error is what remains; the caller's work must not fail for its log.
  }
  if (!sink) sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("fornax", std::move(sink));
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ fornax %v");
  return logger;
}

/// Process-wide: the levels, the sink and its lock.
struct Log {
  std::array<std::atomic<LogLevel>, kCategories.size() + 1> levels;  // last: unknown categories
  std::mutex mutex;
  std::function<void(const LogRecord&)> sink;
  std::shared_ptr<spdlog::logger> logger;

  Log() {
    set_all(LogLevel::warning);
    const auto text = environment("FORNAX_LOG");
    if (!text) return;
    try {
      parse(*text);
    } catch (const Error& error) {
      logger = make_logger();
      logger->warn("[log] FORNAX_LOG: {}", error.what());
    }
  }

  void set_all(LogLevel level) noexcept {
    for (auto& entry : levels) entry.store(level, std::memory_order_relaxed);
  }

  void parse(std::string_view text) {
    std::array<LogLevel, kCategories.size() + 1> wanted;
    wanted.fill(LogLevel::warning);
    // Levels for everything first, wherever they stand: "plan,info" means what "info,plan" does.
    for (const bool categories : {false, true}) {
      for (std::size_t start = 0; start <= text.size();) {
        const std::size_t comma = std::min(text.find(',', start), text.size());
        apply(text.substr(start, comma - start), categories, wanted);
        start = comma + 1;
      }
    }
    for (std::size_t i = 0; i < wanted.size(); ++i)
      levels[i].store(wanted[i], std::memory_order_relaxed);
  }

  static void apply(std::string_view word, bool categories,
                    std::array<LogLevel, kCategories.size() + 1>& wanted) {
    const std::size_t equals = word.find('=');
    const int category = index_of(kCategories, word.substr(0, equals));
    const int level = equals != std::string_view::npos ? index_of(kLevels, word.substr(equals + 1))
                      : category >= 0                  ? 0
                                                       : index_of(kLevels, word);
    const bool for_all = equals == std::string_view::npos && category < 0;
    if (level < 0 || (!for_all && category < 0)) refuse(word);
    if (for_all && !categories) wanted.fill(static_cast<LogLevel>(level));
    if (!for_all && categories)
      wanted[static_cast<std::size_t>(category)] = static_cast<LogLevel>(level);
  }

  [[noreturn]] static void refuse(std::string_view word) {
    std::string message = "log: '" + std::string(word.substr(0, 64)) + "' is no level (";
    for (const char* level : kLevels) message += std::string(level) + ' ';
    message.back() = ')';
    message += ", category (";
    for (const std::string_view category : kCategories) message += std::string(category) + ' ';
    message.back() = ')';
    throw Error(ErrorCode::invalid_argument, message + " or category=level");
  }
};

Log& the_log() {
  static Log log;
  return log;
}

spdlog::level::level_enum spdlog_level(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
    case LogLevel::off: break;
  }
  return spdlog::level::off;
}

}  // namespace

const char* name(LogLevel level) noexcept { return kLevels[static_cast<std::size_t>(level)]; }

void set_log_sink(std::function<void(const LogRecord&)> sink) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  log.sink = std::move(sink);
}

void set_log_levels(std::string_view levels) { the_log().parse(levels); }

bool log_enabled(std::string_view category, LogLevel level) noexcept {
  const int index = index_of(kCategories, category);
  const auto slot = index < 0 ? kCategories.size() : static_cast<std::size_t>(index);
  return level >= the_log().levels[slot].load(std::memory_order_relaxed) && level < LogLevel::off;
}

void log(std::string_view category, LogLevel level, std::string_view message) noexcept try {
  if (!log_enabled(category, level)) return;
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  if (log.sink) return log.sink({category, level, message});
  if (!log.logger) log.logger = make_logger();
  log.logger->log(spdlog_level(level), "[{}] {}",
                  fmt::string_view(category.data(), category.size()),
                  fmt::string_view(message.data(), message.size()));
} catch (...) {
  // Dropped, as the header says.
}

}  // namespace fornax
