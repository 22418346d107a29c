// An accelerator that is none, for machines without a GPU: torch's PrivateUse1 device, whose memory is the CPU's.
//
// Each operation is done by the CPU's kernel on aliases of the same memory. What is true of a real accelerator is true here:
// `numpy()` refuses its tensors, an operation whose tensors are on two devices is refused, the backward pass runs in a thread
// of the device, and it has a random generator of its own.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace {

using c10::IValue;
using c10::Storage;
using c10::TensorImpl;
constexpr auto FAKE = c10::DeviceType::PrivateUse1;
const c10::Device DEVICE(FAKE, 0);

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes ? c10::alloc_cpu(bytes) : nullptr;
    return {data, data, &c10::free_cpu, DEVICE};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return &c10::free_cpu;
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};
Allocator allocator;
REGISTER_ALLOCATOR(FAKE, &allocator);

// The memory of a storage as another device's: the other storage is held as long as the new one.
Storage share(const Storage& from, c10::Device device, c10::Allocator* owner) {
  c10::DataPtr data(
      from.mutable_data(), new Storage(from), [](void* held) { delete static_cast<Storage*>(held); }, device);
  return Storage(Storage::use_byte_size_t(), from.nbytes(), std::move(data), owner, true);
}

at::Tensor with_storage(const at::Tensor& like, const Storage& storage, c10::DispatchKey key) {
  c10::DispatchKeySet keys(key);
  if (!like.is_inference())  // which a view of a usual tensor is not, in inference mode either
    keys = keys | c10::getAutogradRelatedKeySetFromBackend(key == c10::DispatchKey::CPU ? c10::BackendComponent::CPUBit : c10::BackendComponent::PrivateUse1Bit);
  auto made = at::detail::make_tensor<TensorImpl>(TensorImpl::VIEW, Storage(storage), keys, like.dtype());
  made.unsafeGetTensorImpl()->set_sizes_and_strides(like.sym_sizes(), like.sym_strides(), like.sym_storage_offset());
  if (like.is_conj()) made.unsafeGetTensorImpl()->_set_conj(true);
  if (like.is_neg()) made.unsafeGetTensorImpl()->_set_neg(true);
  return made;
}

struct Generator final : c10::GeneratorImpl {
  at::Generator host = at::detail::createCPUGenerator();
  Generator() : GeneratorImpl(DEVICE, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)) {}
  void set_current_seed(uint64_t seed) override { host.set_current_seed(seed); }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return host.current_seed(); }
  uint64_t seed() override { return host.seed(); }
  void set_state(const TensorImpl& state) override { host.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<TensorImpl> get_state() const override { return host.unsafeGetGeneratorImpl()->get_state(); }
  Generator* clone_impl() const override {
    auto* made = new Generator();
    made->host = host.clone();
    return made;
  }
};

const at::Generator& own_generator() {
  static at::Generator own = at::make_generator<Generator>();
  return own;
}

at::Generator& host_of(const at::Generator& generator) {
  return static_cast<Generator*>(generator.unsafeGetGeneratorImpl())->host;
}

// Operations that take tensors of the CPU beside those of an accelerator: indices, and sizes that the host reads.
const std::set<std::string> MIXES = {
    "aten::index.Tensor", "aten::index.Tensor_out", "aten::index_put_", "aten::_index_put_impl_", "aten::index_put",
    "aten::_unsafe_index.Tensor", "aten::_unsafe_index_put", "aten::_ctc_loss.Tensor", "aten::_pack_padded_sequence",
    "aten::_pack_padded_sequence_backward", "aten::set_.source_Storage", "aten::set_.source_Storage_storage_offset"};

// The arguments of one call, and what became of them.
struct Call {
  const c10::FunctionSchema& schema;
  std::map<c10::StorageImpl*, Storage> hosts;  // of storages of the device
  std::map<c10::StorageImpl*, Storage> fakes;  // of storages of the CPU
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs;  // given, and its alias
  bool mixes;

  explicit Call(const c10::OperatorHandle& op)
      : schema(op.schema()), mixes(MIXES.count(toString(op.operator_name())) > 0) {}

  const Storage& host(const Storage& fake) {
    auto found = hosts.find(fake.unsafeGetStorageImpl());
    if (found == hosts.end()) {
      auto made = share(fake, c10::Device(c10::kCPU), c10::GetAllocator(c10::kCPU));
      fakes.emplace(made.unsafeGetStorageImpl(), fake);
      found = hosts.emplace(fake.unsafeGetStorageImpl(), made).first;
    }
    return found->second;
  }

  at::Tensor host(const at::Tensor& given, bool written) {
    if (!given.defined()) return given;
    if (given.device().type() != FAKE) {
      TORCH_CHECK(
          given.device().is_cpu() && ((given.dim() == 0 && !written) || mixes),
          "Expected all tensors to be on the same device, but found at least two devices, ", DEVICE, " and ",
          given.device(), "! (", schema.operator_name(), ")");
      return given;
    }
    for (auto& pair : pairs)
      if (pair.first.is_same(given)) return pair.second;
    TORCH_CHECK(given.layout() == c10::kStrided, "The fake device has no layout but strided.");
    auto made = with_storage(given, host(given.storage()), c10::DispatchKey::CPU);
    pairs.emplace_back(given, made);
    return made;
  }

  at::Tensor fake(const at::Tensor& result) {
    if (!result.defined()) return result;
    for (auto& pair : pairs)
      if (pair.second.is_same(result)) return pair.first;
    if (!result.device().is_cpu()) return result;
    if (result.unsafeGetTensorImpl()->is_wrapped_number()) return result;
    auto* storage = result.storage().unsafeGetStorageImpl();
    auto found = fakes.find(storage);
    if (found == fakes.end()) found = fakes.emplace(storage, share(result.storage(), DEVICE, &allocator)).first;
    return with_storage(result, found->second, c10::DispatchKey::PrivateUse1);
  }

  // What the CPU's kernel resized or gave other memory.
  void write_back() {
    for (auto& [given, alias] : pairs) {
      auto* impl = given.unsafeGetTensorImpl();
      const auto& storage = alias.storage();
      auto own = fakes.find(storage.unsafeGetStorageImpl());
      if (own == fakes.end()) {
        own = fakes.emplace(storage.unsafeGetStorageImpl(), share(storage, DEVICE, &allocator)).first;
        impl->set_storage_keep_dtype(own->second);
      } else if (!own->second.is_alias_of(given.storage())) {
        impl->set_storage_keep_dtype(own->second);
      } else if (own->second.data() != storage.data()) {
        auto again = share(storage, DEVICE, &allocator);
        auto* target = given.storage().unsafeGetStorageImpl();
        target->set_nbytes(storage.nbytes());
        target->set_data_ptr_noswap(std::move(again.unsafeGetStorageImpl()->_mutable_data_ptr_no_checks()));
      }
      if (!given.sizes().equals(alias.sizes()) || !given.strides().equals(alias.strides()) ||
          given.storage_offset() != alias.storage_offset())
        impl->set_sizes_and_strides(alias.sizes(), alias.strides(), alias.storage_offset());
    }
  }
};

void on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Call call(op);
  const auto& arguments = call.schema.arguments();
  const auto first = stack->size() - arguments.size();
  bool seeded = op.hasTag(at::Tag::nondeterministic_seeded);
  bool elsewhere = false;  // whether the result is asked for on the CPU
  for (size_t i = 0; i < arguments.size(); ++i) {
    IValue& value = (*stack)[first + i];
    const bool written = arguments[i].alias_info() && arguments[i].alias_info()->isWrite();
    if (value.isTensor()) {
      value = call.host(value.toTensor(), written);
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> made;
      for (const at::Tensor& each : value.toTensorVector()) made.push_back(call.host(each, written));
      value = made;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> made;
      for (const std::optional<at::Tensor>& each : value.toOptionalTensorVector())
        made.push_back(each ? std::optional<at::Tensor>(call.host(*each, written)) : std::nullopt);
      value = made;
    } else if (value.isStorage()) {
      if (value.toStorage().device_type() == FAKE) value = call.host(value.toStorage());
    } else if (value.isDevice()) {
      elsewhere = value.toDevice().is_cpu();
      if (value.toDevice().type() == FAKE) value = c10::Device(c10::kCPU);
    } else if (value.isGenerator()) {
      const auto& generator = value.toGenerator();
      TORCH_CHECK(
          generator.device().type() == FAKE, "Expected a '", DEVICE, "' device type for generator but found '",
          generator.device(), "'");
      value = host_of(generator);
      seeded = false;
    }
  }
  if (seeded) {  // the CPU's kernels would draw from the CPU's generator
    auto own = at::detail::getDefaultCPUGenerator();
    auto before = own.get_state();
    own.set_state(own_generator().get_state());
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
    host_of(own_generator()).set_state(own.get_state());
    own.set_state(before);
  } else {
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  }
  call.write_back();
  if (elsewhere) return;
  const auto count = call.schema.returns().size();
  for (size_t i = stack->size() - count; i < stack->size(); ++i) {
    IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = call.fake(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> made;
      for (const at::Tensor& each : value.toTensorVector()) made.push_back(call.fake(each));
      value = made;
    }
  }
}

at::Tensor host(const at::Tensor& tensor) {
  if (tensor.device().type() != FAKE) return tensor;
  return with_storage(tensor, share(tensor.storage(), c10::Device(c10::kCPU), c10::GetAllocator(c10::kCPU)), c10::DispatchKey::CPU);
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  auto to = host(self);
  to.copy_(host(source), non_blocking);
  return self;
}

// There is one queue, in which everything is done at once; so nothing needs to be held for another one.
void record_stream(at::Tensor& self, c10::Stream stream) {
  TORCH_CHECK(self.device().type() == FAKE, "record_stream needs a tensor of the device, and got one of ", self.device());
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return own_generator(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<Generator>(); }
  at::Device getDeviceFromPtr(void*) const override { return DEVICE; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::kCPU); }
  void resizePrivateUse1Bytes(const Storage& storage, size_t bytes) const override {
    auto data = allocator.allocate(bytes);
    if (bytes && storage.nbytes()) memcpy(data.get(), storage.data(), std::min(bytes, storage.nbytes()));
    storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(data));
    storage.unsafeGetStorageImpl()->set_nbytes(bytes);
  }
};

struct Guard final : c10::impl::NoOpDeviceGuardImpl<FAKE> {
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Device getDevice() const override { return DEVICE; }
  c10::Stream stream() const { return c10::Stream(c10::Stream::DEFAULT, DEVICE); }
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

bool has_compatible_shallow_copy_type(const at::Tensor&, const at::Tensor&) {
  return true;
}

int64_t choose_attention(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, double, bool,
    std::optional<double>, bool) {
  return static_cast<int64_t>(sdp::SDPBackend::math);
}

// The fused cells of recurrent layers, which torch takes on any accelerator and has no kernel of for a CPU.

using at::Tensor;
using Bias = std::optional<Tensor>;

Tensor with_bias(const Tensor& gates, const Bias& bias) {
  return bias && bias->defined() ? gates + *bias : gates;
}

std::tuple<Tensor, Tensor, Tensor> lstm_cell(
    const Tensor& from_input, const Tensor& from_hidden, const Tensor& before, const Bias& b, const Bias& c) {
  auto gates = (with_bias(from_input, b) + with_bias(from_hidden, c)).chunk(4, 1);
  auto in = gates[0].sigmoid(), forget = gates[1].sigmoid(), cell = gates[2].tanh(), out = gates[3].sigmoid();
  auto after = forget * before + in * cell;
  return {out * after.tanh(), after, at::cat({in, forget, cell, out}, 1)};
}

std::tuple<Tensor, Tensor, Tensor> lstm_cell_backward(
    const Bias& of_hidden, const Bias& of_cell, const Tensor& before, const Tensor& after, const Tensor& saved, bool biased) {
  auto gates = saved.chunk(4, 1);
  auto in = gates[0], forget = gates[1], cell = gates[2], out = gates[3], squashed = after.tanh();
  auto hidden = of_hidden && of_hidden->defined() ? *of_hidden : at::zeros_like(after);
  auto total = hidden * out * (1 - squashed * squashed);
  if (of_cell && of_cell->defined()) total = total + *of_cell;
  auto of_gates = at::cat(
      {total * cell * in * (1 - in), total * before * forget * (1 - forget), total * in * (1 - cell * cell),
       hidden * squashed * out * (1 - out)}, 1);
  return {of_gates, total * forget, biased ? of_gates.sum(0) : Tensor()};
}

std::tuple<Tensor, Tensor> gru_cell(
    const Tensor& from_input, const Tensor& from_hidden, const Tensor& before, const Bias& b, const Bias& c) {
  auto x = with_bias(from_input, b).chunk(3, 1), h = with_bias(from_hidden, c).chunk(3, 1);
  auto reset = (x[0] + h[0]).sigmoid(), update = (x[1] + h[1]).sigmoid(), next = (x[2] + reset * h[2]).tanh();
  return {next + update * (before - next), at::cat({reset, update, next, before, h[2]}, 1)};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> gru_cell_backward(const Tensor& gradient, const Tensor& saved, bool biased) {
  auto parts = saved.chunk(5, 1);
  auto reset = parts[0], update = parts[1], next = parts[2], before = parts[3], hidden = parts[4];
  auto of_next = gradient * (1 - update) * (1 - next * next);
  auto of_update = gradient * (before - next) * update * (1 - update);
  auto of_reset = of_next * hidden * reset * (1 - reset);
  auto x = at::cat({of_reset, of_update, of_next}, 1), h = at::cat({of_reset, of_update, of_next * reset}, 1);
  return {x, h, gradient * update, biased ? x.sum(0) : Tensor(), biased ? h.sum(0) : Tensor()};
}

void manual_seed(int64_t seed) {
  auto generator = own_generator();
  generator.set_current_seed(static_cast<uint64_t>(seed));
}
at::Tensor get_state() { return own_generator().get_state(); }
void set_state(const at::Tensor& state) {
  auto generator = own_generator();
  generator.set_state(state);
}

const bool registered = [] {
  at::RegisterPrivateUse1HooksInterface(new Hooks());
  return true;
}();

}  // namespace

namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &choose_attention);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_host>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("copy_", &copy_);
  m.impl("record_stream", &record_stream);
  m.impl("_has_compatible_shallow_copy_type", &has_compatible_shallow_copy_type);
  m.impl("_thnn_fused_lstm_cell", &lstm_cell);
  m.impl("_thnn_fused_lstm_cell_backward_impl", &lstm_cell_backward);
  m.impl("_thnn_fused_gru_cell", &gru_cell);
  m.impl("_thnn_fused_gru_cell_backward", &gru_cell_backward);
  // what torch would otherwise put together for a device that it does not know, where the CPU has a kernel of its own
  const std::set<std::string> done = {
      "copy_", "record_stream", "_has_compatible_shallow_copy_type", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"};
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0 || done.count(name.name.substr(6))) continue;
    const auto op = c10::Dispatcher::singleton().findSchema(name);
    if (!op || !op->hasKernelForDispatchKey(c10::DispatchKey::CPU)) continue;
    if (op->hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd) ||
        op->hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutogradNonFunctional))
      m.impl(toString(name).c_str(), torch::CppFunction::makeFromBoxedFunction<&on_host>());
  }
  for (const char* name : {"convolution", "convolution_backward"})
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&on_host>());
}

TORCH_LIBRARY(anabranch_fake, m) {
  m.def("manual_seed(int seed) -> ()", &manual_seed);
  m.def("get_state() -> Tensor", &get_state);
  m.def("set_state(Tensor state) -> ()", &set_state);
}
