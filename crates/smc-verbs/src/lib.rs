//! RDMA device limits through libibverbs, optional at run time.
