// The samples as programs: what they print, the files they leave, how well they learn, how they
// refuse.
#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include "runtime/support/json.h"
#include "tests/end_to_end/process.h"
#include "tests/runtime/temporary_folder.h"

namespace fornax {
namespace {

const std::string kIris = FORNAX_SOURCE_DIR "/samples/data/iris.csv";

TEST(ThreeLayer, AgreesWithTheFormulasByHand) {
  for (const char* device : {"cpu", "reference"}) {
    const ProcessResult result =
        run_process("", sample("three_layer") + " --epochs 200 --device " + device);
    EXPECT_EQ(result.status, 0) << result.output;
    const std::string words = "Largest difference from the formulas in double: ";
    const std::size_t at = result.output.find(words);
    ASSERT_NE(at, std::string::npos) << result.output;
    const double worst = std::strtod(result.output.c_str() + at + words.size(), nullptr);
    EXPECT_LT(worst, 1e-5);
    EXPECT_GT(worst, 0) << "f32 and double cannot agree in all digits";
  }
}

TEST(ThreeLayer, LearnsTheTruthTable) {
  const ProcessResult result = run_process("", sample("three_layer") + " --epochs 5000");
  const auto error_of = [&](const std::string& line) {
    const std::size_t at = result.output.find(line);
    return at == std::string::npos ? NAN
                                   : std::strtod(result.output.c_str() + at + line.size(), nullptr);
  };
  const double first = error_of("epoch      1  E = "), last = error_of("epoch   5000  E = ");
  EXPECT_LT(last, first / 5) << result.output;
}

class Classifier : public TemporaryFolder {
 protected:
  /// The classifier's command with the results in `folder`; on the CPU unless the flags name a
  /// device, on machines with a GPU too.
  std::string command(const std::string& data, const std::string& flags,
                      const std::string& folder = "out") const {
    return "FORNAX_DEVICE=cpu " + sample("classifier") + " --progress none --data " + data +
           " --out '" + path(folder) + "' " + flags;
  }
  ProcessResult run(const std::string& data, const std::string& flags,
                    const std::string& folder = "out") const {
    return run_process("", command(data, flags, folder));
  }
  /// Numbers of summary.json by key; state_sha256 is left out.
  std::map<std::string, double> summary(const std::string& folder = "out") const {
    return numbers_of(text_of(folder + "/summary.json"));
  }
  static std::map<std::string, double> numbers_of(const std::string& text) {
    JsonReader reader(text, "summary");
    std::map<std::string, double> numbers;
    std::string key;
    for (reader.begin_object(); reader.next_key(key);)
      if (reader.peek() == JsonReader::Kind::number)
        numbers[key] = reader.number();
      else
        reader.skip();
    reader.finish();
    return numbers;
  }
  std::string hash(const std::string& folder) const {
    const std::string text = text_of(folder + "/summary.json"), key = "\"state_sha256\": \"";
    const std::size_t at = text.find(key);
    EXPECT_NE(at, std::string::npos) << text;
    return at == std::string::npos ? "" : text.substr(at + key.size(), 64);
  }
  std::vector<std::string> lines(const std::string& name) const {
    std::istringstream text(text_of(name));
    std::vector<std::string> all;
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }
  /// Where a file of the data folder beside the repository is; empty when it is not there.
  static std::string data_file(const std::string& name) {
    for (const char* above : {"/../shared/data/", "/../../shared/data/", "/shared/data/"}) {
      const std::string data = FORNAX_SOURCE_DIR + std::string(above) + name;
      if (std::filesystem::exists(data)) return data;
    }
    return "";
  }
  double accuracy_over_folds(const std::string& data) {
    const ProcessResult result = run(data, "--folds 5 --seed 1");
    EXPECT_EQ(result.status, 0) << result.output;
    EXPECT_GE(summary().count("accuracy_sd"), 1u);
    return summary()["accuracy"];
  }
  /// Exit status 1 and on standard error one line that begins with the program's name and has
  /// `text`.
  void expect_refusal(const std::string& data, const std::string& flags, const std::string& text) {
    const ProcessResult result = run_process("", "( " + command(data, flags) + " > /dev/null )");
    EXPECT_EQ(result.status, 1) << result.output;
    EXPECT_EQ(result.output.substr(0, 12), "classifier: ") << result.output;
    EXPECT_NE(result.output.find(text), std::string::npos) << result.output;
    EXPECT_EQ(result.output.find('\n') + 1, result.output.size()) << "one line";
  }
};

TEST_F(Classifier, LearnsIrisAndLeavesItsResults) {
  const ProcessResult result = run(kIris, "--seed 1");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("150 rows, 4 features, 3 classes"), std::string::npos);
  const auto numbers = summary();
  for (const char* key : {"loss", "accuracy", "auc", "steps", "seconds", "peak_memory_bytes"}) {
    ASSERT_TRUE(numbers.contains(key)) << key;
    EXPECT_GT(numbers.at(key), 0) << key;
  }
  EXPECT_GE(numbers.at("accuracy"), 0.9);
  EXPECT_EQ(hash("out").find_first_not_of("0123456789abcdef"), std::string::npos);
  const auto log = lines("out/metrics.jsonl");
  ASSERT_GE(log.size(), 20u);
  for (std::size_t i = 0; i < log.size(); ++i) {
    const auto epoch = numbers_of(log[i]);
    EXPECT_EQ(epoch.at("epoch"), static_cast<double>(i + 1));
    EXPECT_TRUE(epoch.contains("loss") && epoch.contains("validation_accuracy")) << log[i];
  }
  EXPECT_EQ(numbers_of(log.back()).at("step"), numbers.at("steps"));
  for (const char* picture : {"out/curves.svg", "out/scatter.svg"}) {
    const std::string text = text_of(picture);
    EXPECT_EQ(text.substr(0, 4), "<svg") << picture;
    EXPECT_NE(text.find("</svg>"), std::string::npos) << picture;
  }
}

TEST_F(Classifier, HasOneHashForEveryNumberOfThreads) {
  const std::string flags = "--epochs 5 --seed 3 ";
  for (const char* extra : {"--threads 1", "--threads 2", "--device reference", "--seed 4"}) {
    const ProcessResult result =
        run(kIris, (std::string(extra) == "--seed 4" ? "--epochs 5 " : flags) + extra, extra + 2);
    ASSERT_EQ(result.status, 0) << result.output;
  }
  EXPECT_EQ(hash("threads 2"), hash("threads 1"));
  EXPECT_EQ(hash("device reference"), hash("threads 1"));
  EXPECT_NE(hash("seed 4"), hash("threads 1"));
}

TEST_F(Classifier, IsRightAboutIrisOverFolds) {
  const std::string data = data_file("iris.csv");
  EXPECT_GE(accuracy_over_folds(data.empty() ? kIris : data), 0.945);
}

TEST_F(Classifier, IsRightAboutBreastCancerOverFolds) {
  const std::string data = data_file("breast-cancer-wisconsin.csv");
  if (data.empty()) GTEST_SKIP() << "breast-cancer-wisconsin.csv is not beside the repository";
  EXPECT_GE(accuracy_over_folds(data), 0.96);
}

TEST_F(Classifier, RefusesInOneLine) {
  expect_refusal(path("absent.csv"), "", "absent.csv");
  expect_refusal(kIris, "--target genus", "genus");
  expect_refusal(kIris, "--target 9", "9");
  expect_refusal(kIris, "--device gpu", "device 'gpu' is unknown");
  expect_refusal(kIris, "--dropout 1", "drop_p is 1.000000; it lies in [0, 1)");
  expect_refusal(kIris, "--batch -2", "batch_size is -2");
  expect_refusal(kIris, "--folds 151", "151 folds of 150 rows");
  expect_refusal(file("ragged.csv", "1,2,a\n3,b\n"), "", "ragged.csv");
  expect_refusal(file("empty.csv", ""), "", "empty.csv");
}

TEST_F(Classifier, RefusesFlagsInOneLine) {
  expect_refusal(kIris, "--absent 1", "--absent");
  expect_refusal(kIris, "--epochs many", "--epochs");
  expect_refusal(kIris, "--progress loud", "--progress");
  expect_refusal("''", "--folds -1", "--folds");
  const ProcessResult bare = run_process("", sample("classifier"));
  EXPECT_EQ(bare.status, 1);
  EXPECT_EQ(bare.output, "classifier: --data is required\n");
  const ProcessResult help = run_process("", sample("classifier") + " --help");
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.output.find("--learning-rate"), std::string::npos);
}

}  // namespace
}  // namespace fornax
