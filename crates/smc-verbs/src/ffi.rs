//! The calls into libibverbs. What is opened here is closed on drop.
#![allow(unsafe_code, reason = "libibverbs is a C library")]

use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::slice;

use nix::errno::Errno;
use rdma_sys::{
    ibv_close_device, ibv_context, ibv_device, ibv_device_attr, ibv_free_device_list, ibv_get_device_list,
    ibv_get_device_name, ibv_open_device, ibv_query_device,
};

use crate::Limits;

/// The RDMA devices that libibverbs has a provider for.
pub(crate) struct DeviceList {
    first: NonNull<*mut ibv_device>,
    length: usize,
}

impl DeviceList {
    pub(crate) fn new() -> Result<Self, Errno> {
        let mut length = 0;
        // SAFETY: the argument is valid for the write of one int.
        let list = unsafe { ibv_get_device_list(&raw mut length) };
        let first = NonNull::new(list).ok_or_else(Errno::last)?;
        Ok(Self { first, length: usize::try_from(length).unwrap_or(0) })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Device<'_>> {
        // SAFETY: libibverbs gave this array of `length` pointers, and it lives until freed in drop.
        let devices = unsafe { slice::from_raw_parts(self.first.as_ptr(), self.length) };
        devices.iter().filter_map(|&device| Some(Device { device: NonNull::new(device)?, list: PhantomData }))
    }
}

impl Drop for DeviceList {
    fn drop(&mut self) {
        // SAFETY: it came from ibv_get_device_list and is freed once. Opened devices keep their own hold.
        unsafe { ibv_free_device_list(self.first.as_ptr()) };
    }
}

/// A device in the list, not opened.
pub(crate) struct Device<'list> {
    device: NonNull<ibv_device>,
    list: PhantomData<&'list DeviceList>,
}

impl Device<'_> {
    pub(crate) fn name(&self) -> Option<&CStr> {
        // SAFETY: the device is in a list that lives.
        let name = unsafe { ibv_get_device_name(self.device.as_ptr()) };
        // SAFETY: the name is NUL-terminated and part of the device.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
    }

    pub(crate) fn open(&self) -> Result<OpenDevice, Errno> {
        Errno::clear();
        // SAFETY: the device is in a list that lives.
        let context = unsafe { ibv_open_device(self.device.as_ptr()) };
        NonNull::new(context).map(|context| OpenDevice { context }).ok_or_else(Errno::last)
    }
}

/// An opened device.
pub(crate) struct OpenDevice {
    context: NonNull<ibv_context>,
}

impl OpenDevice {
    pub(crate) fn query(&self) -> Result<Limits, Errno> {
        let mut attributes = MaybeUninit::<ibv_device_attr>::zeroed();
        // SAFETY: the device is open, and the answer has room.
        let answer = unsafe { ibv_query_device(self.context.as_ptr(), attributes.as_mut_ptr()) };
        if answer != 0 {
            return Err(Errno::from_raw(answer));
        }
        // SAFETY: a struct of integers that was zeroed before and filled now.
        let attributes = unsafe { attributes.assume_init() };
        // The driver's ints are counts; one that says a negative number says nothing.
        let count = |value: libc::c_int| u32::try_from(value).unwrap_or(0);
        Ok(Limits {
            max_qp: count(attributes.max_qp),
            max_qp_wr: count(attributes.max_qp_wr),
            max_sge: count(attributes.max_sge),
            max_cq: count(attributes.max_cq),
            max_cqe: count(attributes.max_cqe),
            max_mr: count(attributes.max_mr),
            max_mr_size: attributes.max_mr_size,
            max_pd: count(attributes.max_pd),
            ports: attributes.phys_port_cnt,
        })
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        // SAFETY: opened by ibv_open_device and closed once. A failure to close has nobody to tell.
        unsafe { ibv_close_device(self.context.as_ptr()) };
    }
}
