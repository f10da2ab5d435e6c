"""Cross-mapping kernels: the reference and its fast twins."""
