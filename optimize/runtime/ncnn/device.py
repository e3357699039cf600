"""Open an ncnn model on the CPU, in float32 where it is not int8: ncnn would take fp16 on ARM by itself.

Copied into bundles: only the standard library, numpy and the runtime are imported here, the runtime where it is used.
"""

import numpy as np

SHARES = False  # boxes are in pixels
PARAM, BIN = "model.ncnn.param", "model.ncnn.bin"  # as ultralytics calls them


def version():
    """Of the runtime."""
    import ncnn

    return ncnn.__version__


def load(folder, threads):
    """An `ncnn.Net`; RuntimeError where ncnn can't read the files."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_packed = net.opt.use_bf16_storage = False
    if net.load_param(str(folder / PARAM)) or net.load_model(str(folder / BIN)):
        raise RuntimeError(f"ncnn {version()} can't load {folder.name}; its log above says why")
    return net


def tensors(net, names, images, *, light=False):
    """What `net` computes for `images`, (1, 3, H, W) float32, at each of `names`, in ncnn's shapes without a batch.

    With `light`, as it is deployed, `names` must be outputs: ncnn frees all else as soon as it has been read.
    RuntimeError where ncnn fails; what it hands back then crashes whoever reads it.
    """
    import ncnn

    image = np.ascontiguousarray(images[0])  # ncnn reads this memory itself, so it must outlive the run
    with net.create_extractor() as extractor:
        extractor.set_light_mode(light)
        source = net.input_names()[0]
        succeeded(extractor.input(source, ncnn.Mat(image)), f"take {source}")
        return {name: extracted(extractor, name) for name in names}


def extracted(extractor, name):
    code, tensor = extractor.extract(name)
    succeeded(code, f"compute {name}")
    return np.array(tensor)


def succeeded(code, what):
    if code:
        raise RuntimeError(f"ncnn {version()} failed to {what} (error {code}); its log above says why")


def runner(net):
    """(1, 3, H, W) float32 in 0..1 -> the outputs, a list of arrays."""
    outputs = sorted(net.output_names())

    def run(images):
        found = tensors(net, outputs, images, light=True)
        return [found[name][None] for name in outputs]

    return run


def open_model(path, precision, threads):
    """The model as a function from (1, 3, H, W) float32 in 0..1 to its outputs; ncnn doesn't tell its arithmetic."""
    return runner(load(path, threads)), lambda: None
