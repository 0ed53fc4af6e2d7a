"""A Ray cluster as a pool of workers. Needs workers; ray itself only in processes of its own.

address  where a cluster is, and whether anything answers there
pool     the study's handle on the cluster's workers
driver   the process that is Ray's driver: an actor for each core or GPU, as nodes come and go
actor    what runs on a node: a local pool of one worker
"""

from sweep.cluster.pool import Cluster, RayPool

__all__ = ["Cluster", "RayPool"]
