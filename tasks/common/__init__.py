"""What all stages share: lake, catalogue, lineage, progress, Dask."""
