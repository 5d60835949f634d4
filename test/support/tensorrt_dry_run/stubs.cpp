// Stand-ins for TensorRT's three libraries, so that its Python bindings load on a machine without
// an NVIDIA driver. A dry run asks for the bindings' enums and classes and never builds an engine,
// so the nine symbols the bindings link to are enough and none of them does anything.
//
// Compiled once for each library with -DNVINFER, -DNVINFER_PLUGIN or -DNVONNXPARSER, under the
// soname the bindings need.

#include <cstdint>

#ifdef NVINFER
namespace
{
// The bindings ask for the dynamic type of a registry, so it must be an object with a vtable.
struct Registry
{
  virtual ~Registry() = default;
};
Registry registry;
}  // namespace

extern "C" {
void * createInferBuilder_INTERNAL(void *, int32_t) {return nullptr;}
void * createInferRefitter_INTERNAL(void *, void *, int32_t) {return nullptr;}
void * createInferRuntime_INTERNAL(void *, int32_t) {return nullptr;}
void * getBuilderPluginRegistry(int32_t) {return &registry;}
void * getPluginRegistry() {return &registry;}
}
#endif

#ifdef NVINFER_PLUGIN
extern "C" bool initLibNvInferPlugins(void *, char const *) {return true;}
#endif

#ifdef NVONNXPARSER
extern "C" {
void * createNvOnnxParser_INTERNAL(void *, void *, int32_t) {return nullptr;}
void * createNvOnnxParserRefitter_INTERNAL(void *, void *, int32_t) {return nullptr;}
int32_t getNvOnnxParserVersion() {return 0;}
}
#endif
